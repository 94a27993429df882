# Jobs that a database with the extension loyalty wants to be run, once
# /etc/loyalty/maintenance.env names it.  What goes wrong is sent by mail.
SHELL=/bin/sh
PATH=/usr/sbin:/usr/bin:/sbin:/bin

7 * * * * _loyalty /usr/lib/loyalty-gateway/maintenance hourly
20 4 * * * _loyalty /usr/lib/loyalty-gateway/maintenance daily
20 3 * * * _loyalty /usr/lib/loyalty-gateway/maintenance nightly
40 4 * * 0 _loyalty /usr/lib/loyalty-gateway/maintenance weekly
