"""Who the app is to Microsoft: its sign-in, its tokens and its own identity in Azure.

- A person signs in: `sign_in` is the story; `device_codes` asks Entra, `flows` keeps the stages.
- A run gets a token: `tokens` takes it silently from the saved cache, through `entra` (MSAL's
  connection); `refusals` says what an error of Entra means. `token` has the types that others use.
- The cache is one encrypted blob: `token_cache`, on `blobs` (encryption, storage errors).
- The app's own identity: `credential`, and `key_vault` for the secrets that it opens.
- `account`: the signed-in account and the stored sign-in state.
"""
