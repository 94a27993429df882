-- What gives a program another revision: whatever changes of it, its ranks, rules or
-- limits, whoever changes it, a superuser too.  A session that remembers the
-- program looks at nothing else.  What can have no revision tells all sessions to
-- read everything anew.
--
-- All these triggers are enabled always, which seal() sees to.  While one of them
-- is not, sessions remember nothing.

CREATE FUNCTION loyalty_internal.revise_program() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF current_setting('session_replication_role') <> 'replica' OR NEW.revision = OLD.revision THEN
		NEW.revision := loyalty_internal.new_id();
	END IF;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION loyalty_internal.revise_program() IS 'Part of loyalty_internal.program, a trigger: a row that is changed gets another revision, under session_replication_role = replica too. One that a subscription applies has the publisher''s.';

CREATE TRIGGER revise BEFORE UPDATE ON loyalty_internal.program
FOR EACH ROW EXECUTE FUNCTION loyalty_internal.revise_program();

-- Once for a statement, however many rows it changes: each revision is another version of the program's row.
CREATE FUNCTION loyalty_internal.revise_programs() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	EXECUTE format('UPDATE loyalty_internal.program p SET revision = loyalty_internal.new_id() FROM (' ||
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

CREATE FUNCTION loyalty_internal.forget_programs() RETURNS trigger
LANGUAGE C AS 'MODULE_PATHNAME', 'loyalty_forget_programs';
COMMENT ON FUNCTION loyalty_internal.forget_programs() IS 'Part of loyalty_internal.program, a trigger of it and of tables that its terms depend on: every session forgets the programs that it remembers. It does so where nothing gives another revision: for rows that a subscription applies or that are changed under session_replication_role = replica, and when programs are deleted. Of loyalty_internal.sql_role it does so of the numbers of roles.';

CREATE FUNCTION loyalty_internal.unwatched_table() RETURNS text
LANGUAGE C STABLE AS 'MODULE_PATHNAME', 'loyalty_unwatched_table';
COMMENT ON FUNCTION loyalty_internal.unwatched_table() IS 'A table of which one of these triggers is not enabled always, or is gone, so that sessions remember no program; NULL: there is none. loyalty_internal.seal() enables them.';

CREATE TRIGGER forget_deleted AFTER DELETE ON loyalty_internal.program
FOR EACH STATEMENT EXECUTE FUNCTION loyalty_internal.forget_programs();

CREATE TRIGGER forget_deleted AFTER DELETE OR TRUNCATE ON loyalty_internal.sql_role
FOR EACH STATEMENT EXECUTE FUNCTION loyalty_internal.forget_programs();

CREATE FUNCTION loyalty_internal.revise_merchant() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE loyalty_internal.program p SET revision = loyalty_internal.new_id() WHERE p.merchant_id = NEW.merchant_id;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION loyalty_internal.revise_merchant() IS 'Part of loyalty_internal.merchant, a trigger: what sessions remember of it, they remember with its programs.';

CREATE TRIGGER revise AFTER UPDATE ON loyalty_internal.merchant
FOR EACH ROW WHEN (OLD.max_rows IS DISTINCT FROM NEW.max_rows) EXECUTE FUNCTION loyalty_internal.revise_merchant();

DO $$
DECLARE
	part record;
BEGIN
	FOR part IN VALUES ('program', NULL), ('merchant', NULL), ('rule', 'program_id'), ('rank_range', 'range_group'), ('rank_past', 'program_id'), ('posting_limit', 'program_id') LOOP
		EXECUTE format('CREATE TRIGGER forget_applied AFTER INSERT OR UPDATE OR DELETE ON loyalty_internal.%1$I
			FOR EACH ROW EXECUTE FUNCTION loyalty_internal.forget_programs()', part.column1);
		CONTINUE WHEN part.column2 IS NULL;
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
