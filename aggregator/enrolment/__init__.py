"""Who belongs to a federation by invitation: its members, their keys, their accounts."""
