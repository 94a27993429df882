# Jobs that a database with the extension loyalty wants to be run, once
# /etc/loyalty/maintenance.env names it.  What goes wrong is sent by mail.
SHELL=/bin/sh
PATH=/usr/sbin:/usr/bin:/sbin:/bin

* * * * * _loyalty /usr/lib/loyalty-gateway/maintenance minutely
20 3 * * * _loyalty /usr/lib/loyalty-gateway/maintenance nightly
