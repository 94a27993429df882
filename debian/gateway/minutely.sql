-- Each minute: books what is due, rolls up what was posted, deletes what is kept for a
-- time, makes roots, and takes the second step of the cancellation of customers; each
-- merchant's as often as loyalty.maintenance says.  What fails is in loyalty.health().
CALL loyalty.maintain();
