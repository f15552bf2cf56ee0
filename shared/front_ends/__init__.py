"""Front ends: what makes features of sound, one file each."""
