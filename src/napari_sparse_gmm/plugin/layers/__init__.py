"""The layers that show a mixture, by kind."""
