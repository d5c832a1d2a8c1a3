#!/bin/sh
# Stands in for ssh where two "hosts" are one machine: runs the launcher's command under a host name
# of its own.   local_agent.sh HOST COMMAND...
while [ "$1" = -x ]; do shift; done
host=$1
shift
case $host in
  missing*) echo "local_agent.sh: could not resolve hostname $host" >&2; exit 255 ;;
esac
exec unshare --uts sh -c "hostname $host; $*"
