-- What gives a program another revision: whatever changes of it, its ranks, rules or
-- limits, whoever changes it, a superuser too.  A session that remembers the
-- program looks at nothing else.

CREATE FUNCTION loyalty_internal.revise_program() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	NEW.revision := loyalty_internal.new_id();
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION loyalty_internal.revise_program() IS 'Part of loyalty_internal.program, a trigger: a row that is changed gets another revision.';

CREATE TRIGGER revise BEFORE UPDATE ON loyalty_internal.program
FOR EACH ROW EXECUTE FUNCTION loyalty_internal.revise_program();

-- Once for a statement, however many rows it changes: each revision is another version of the program's row.
CREATE FUNCTION loyalty_internal.revise_programs() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	EXECUTE format('UPDATE loyalty_internal.program p SET revision = p.revision FROM (' ||
		CASE TG_OP
			WHEN 'INSERT' THEN 'SELECT merchant_id, %1$I FROM after'
			WHEN 'UPDATE' THEN 'SELECT merchant_id, %1$I FROM before UNION SELECT merchant_id, %1$I FROM after'
			WHEN 'DELETE' THEN 'SELECT merchant_id, %1$I FROM before'
			ELSE 'SELECT merchant_id, %1$I FROM loyalty_internal.program'
		END || ') c WHERE p.merchant_id = c.merchant_id AND p.%1$I = c.%1$I', TG_ARGV[0]);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION loyalty_internal.revise_programs() IS 'Part of loyalty_internal.program, a trigger of tables that a program''s terms depend on: gives another revision to the programs whose column TG_ARGV[0] has the value that it has in a changed row.';

DO $$
DECLARE
	part record;
BEGIN
	FOR part IN VALUES ('rule', 'program_id'), ('rank_range', 'range_group'), ('rank_past', 'program_id'), ('posting_limit', 'program_id') LOOP
		EXECUTE format('CREATE TRIGGER revise_insert AFTER INSERT ON loyalty_internal.%1$I REFERENCING NEW TABLE AS after
			FOR EACH STATEMENT EXECUTE FUNCTION loyalty_internal.revise_programs(%2$L);
			CREATE TRIGGER revise_update AFTER UPDATE ON loyalty_internal.%1$I REFERENCING OLD TABLE AS before NEW TABLE AS after
			FOR EACH STATEMENT EXECUTE FUNCTION loyalty_internal.revise_programs(%2$L);
			CREATE TRIGGER revise_delete AFTER DELETE ON loyalty_internal.%1$I REFERENCING OLD TABLE AS before
			FOR EACH STATEMENT EXECUTE FUNCTION loyalty_internal.revise_programs(%2$L);
			CREATE TRIGGER revise_truncate AFTER TRUNCATE ON loyalty_internal.%1$I
			FOR EACH STATEMENT EXECUTE FUNCTION loyalty_internal.revise_programs(%2$L)', part.column1, part.column2);
	END LOOP;
END
$$;
