"""What was asked (`spec`, `presets`) and what came out (`records`), as types. Imports no other room."""
