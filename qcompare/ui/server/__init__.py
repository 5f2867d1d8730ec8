"""What stands between the network and the app: roles and rights, login, checks of every request, REST and MCP."""
