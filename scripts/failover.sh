#!/bin/sh
# A sample for the key action_failover: "cmd_standby -F999" runs it once the
# server on this host has become the production server. The message comes as
# the last argument, the facts in environment variables whose names begin with
# PITRTOOLS_. The script must exit 0.
#
# This sample only leaves a mark. A real script might move a service address to
# this host, change a DNS entry, or give a connection pool the new address.
exec touch "$(dirname -- "$0")/../failover_happened"
