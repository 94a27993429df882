-- The tour in README.md, run from README.md.
\! sed -n '/^<!-- tour: begin/,/^<!-- tour: end/{/^```sql/,/^```$/{/^```/!p}}' "$PG_ABS_SRCDIR/../README.md" >results/readme_tour.txt
\i results/readme_tour.txt

-- How many lines of results it shows, and those that are not in the expected transcript: none.
\! sed -n '/^<!-- tour: begin/,/^<!-- tour: end/{/^```text/,/^```$/{/^```/!p}}' "$PG_ABS_SRCDIR/../README.md" >results/readme_shown.txt
\! grep -c '' results/readme_shown.txt
\! sed 's/ *$//; s/^psql:[^ ]* //' "$PG_ABS_SRCDIR/../expected/readme.out" | diff results/readme_shown.txt - | grep '^<'
