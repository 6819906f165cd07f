"""`python3 -m dev bench`: this product beside the usual tool and beside the floor."""
