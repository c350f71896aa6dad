//! Who is speaking: API keys, tokens, roles.
