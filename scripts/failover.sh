#!/bin/sh
# A sample for the key action_failover: "cmd_standby -F999" runs it once the
# server on this host has become the production server. The message comes as
# the last argument, facts in environment variables whose names begin with
# PITRTOOLS_. It must exit 0.
#
# This one only leaves a mark. A real one might move a service address to this
# host, change a DNS entry or tell a connection pool where the server is now.
exec touch "$(dirname -- "$0")/../failover_happened"
