#!/bin/bash
# What Google's guest agent does when a machine boots: run the startup script that the metadata server has
# (https://cloud.google.com/compute/docs/instances/startup-scripts/linux). A line to descriptor 3 says that it runs.
attribute=http://169.254.169.254/computeMetadata/v1/instance/attributes/startup-script
script=$(mktemp -d)/startup-script

[ -e /etc/ssl/certs/sandbox.pem ] || update-ca-certificates >/dev/null 2>&1 || echo "guest: update-ca-certificates failed"

status=$(curl --silent --show-error --max-time 20 --header "Metadata-Flavor: Google" --retry 3 --retry-connrefused \
    --output "$script" --write-out "%{http_code}" "$attribute")
case $status in
200)
    chmod 0700 "$script"
    echo "guest: startup-script begins"
    echo started >&3
    exec 3>&-
    # The kernel reads a first line with #!; without one it is bash's.
    /bin/bash -c "$script"
    echo "guest: startup-script ended with exit status $?"
    ;;
404)
    echo "guest: no startup-script"
    echo started >&3
    exec 3>&-
    ;;
*)
    echo "guest: the metadata server gave no startup-script (status $status)"
    exit 1
    ;;
esac
# The machine stays up when its script has ended.
exec sleep infinity
