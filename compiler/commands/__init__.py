"""The command line's commands, one module each.

A module here is a command: it defines `register(app)`, which adds its command (or group of commands) to the typer application.
What a command needs of the compiler it imports when it runs, so that `lamina --help` stays quick.
"""
