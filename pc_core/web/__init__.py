"""The app's HTTP side: who may, what was asked, what is answered; and the page."""
