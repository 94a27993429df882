-- The SQL of README.md and docs/, run from there: what each block prints is what is shown.
\! "$PG_ABS_SRCDIR/pages.pl" sql
