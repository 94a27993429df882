\set a random(1001,2000)
SELECT loyalty.post(1,:a,'redeem','-0.5');
