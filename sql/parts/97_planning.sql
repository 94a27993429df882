-- The functions in SQL on the way of a posting or of a request: their statements
-- are planned for large tables, as those of the C code are (src/db/planning.c),
-- whatever is known of the tables when a session first calls them.

DO $$
DECLARE
	of_request CONSTANT name[] := '{find_program,find_member,register_again,identify_member,lock_member,change_member,lock_sharers,lock_blocked,disable_member,statement,claim_messages,open_policy,pay_policy,book_payment,policy_status,sell_policy,rows_of,named_by_origin,began_with_erased}';
	routine regprocedure;
BEGIN
	FOR routine IN
		SELECT p.oid FROM pg_proc p
		WHERE p.pronamespace IN ('loyalty'::regnamespace, 'loyalty_internal'::regnamespace) AND p.proname = ANY (of_request)
	LOOP
		EXECUTE format('ALTER FUNCTION %s SET plan_cache_mode = force_generic_plan', routine);
	END LOOP;
END
$$;
