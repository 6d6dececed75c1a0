"""One module a screen; a screen looks at the desk and asks the service, it does not know the app."""
