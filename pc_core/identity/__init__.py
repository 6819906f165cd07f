"""Who the app is to Microsoft: sign-in, tokens, the encrypted cache, the app's own identity."""
