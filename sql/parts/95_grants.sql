-- Handing out the rights, in four sizes, each an explicit list: a new object is
-- nobody's until it stands in one.  These functions run as their caller, who
-- must be allowed to grant: the superuser who created the extension.

CREATE FUNCTION loyalty_internal.prepare_role(role name, fixed_path boolean DEFAULT false) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	login name;
	setting text;
BEGIN
	-- In a GRANT "public" is everybody, in quotes too.  Roles that functions run
	-- as have what these need, and nothing else.
	IF role IS NULL OR role = 'public' OR starts_with(role::text, 'pg_') OR role IN ('loyalty_engine', 'loyalty_auditor', 'loyalty_eraser') THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'Rights are for roles of yours: not for PUBLIC, a predefined role, or one of the extension.');
	END IF;
	-- What clients send as parameters has their keys and passwords.  Settings
	-- are those of the role that logged in, which PostgREST's is not.
	FOR login IN
		WITH RECURSIVE acting (id) AS (
			SELECT r.oid FROM pg_roles r WHERE r.rolname = role
			UNION
			SELECT m.member FROM acting a JOIN pg_auth_members m ON m.roleid = a.id
		)
		SELECT r.rolname FROM acting a JOIN pg_roles r ON r.oid = a.id WHERE r.rolname = role OR r.rolcanlogin AND NOT r.rolsuper
	LOOP
		FOREACH setting IN ARRAY '{log_parameter_max_length,log_parameter_max_length_on_error}'::text[] LOOP
			EXECUTE format('ALTER ROLE %I SET %I = 0', login, setting);
		END LOOP;
		-- These have parameters too, in plans, and are anybody's to set: the owner's for the database.
		FOREACH setting IN ARRAY '{debug_print_parse,debug_print_rewritten,debug_print_plan}'::text[] LOOP
			EXECUTE format('ALTER ROLE %I SET %I = off', login, setting);
		END LOOP;
		-- PostgREST hands each request''s headers to set_config(), unqualified, and so do programs call functions.
		-- The path of a role goes before that of the database, which its owner sets.
		IF prepare_role.fixed_path THEN
			EXECUTE format('ALTER ROLE %I SET search_path = pg_catalog', login);
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION loyalty_internal.prepare_role(name, boolean) IS
'Part of the functions that hand out rights: what this role, and who logs in to act as it, sends as parameters stays out of the server''s log; with fixed_path, what they call by a bare name is PostgreSQL''s. Errors: LY005 invalid_argument (NULL, public, a predefined role, or one of the extension).';

CREATE FUNCTION loyalty.grant_api(role name) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM loyalty_internal.prepare_role(role, true);
	EXECUTE format('GRANT USAGE ON SCHEMA loyalty_api TO %I', role);
	EXECUTE format('GRANT EXECUTE ON ROUTINE
		loyalty_api.wallet_get, loyalty_api.wallet_contact_get, loyalty_api.wallet_contact_add, loyalty_api.wallet_sale,
		loyalty_api.wallet_balance_update, loyalty_api.employee_add, loyalty_api.employee_disable, loyalty_api.toolusers_get,
		loyalty_api.program_list, loyalty_api.program_get, loyalty_api.member_list, loyalty_api.member_get, loyalty_api.member_balance,
		loyalty_api.member_create, loyalty_api.deposit, loyalty_api.redemption, loyalty_api.accumulation, loyalty_api.gateway, loyalty_api.gateway_read, loyalty_api.ready, loyalty_api.dashboard TO %I', role);
END
$$;
COMMENT ON FUNCTION loyalty.grant_api(name) IS
'Lets a role, the one PostgREST switches to, execute the functions of schema loyalty_api and nothing else. Parameters of its statements, and of those of roles that may act as it, stay out of the server''s log from their next session on, and their search_path is pg_catalog, whatever the database''s owner makes that of the database. Run it again after an upgrade, or when another role is made a member of it. Errors: LY005 invalid_argument (PUBLIC, a predefined role, or one of the extension).';

CREATE FUNCTION loyalty_internal.report_routines(theirs_only boolean) RETURNS text
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT string_agg(p.oid::regprocedure::text, ', ') FROM pg_proc p
	WHERE p.pronamespace = 'loyalty_internal'::regnamespace
		  AND p.proname IN ('reported_merchants', 'is_reported', 'pseudonym', 'age_band', 'rank_now', 'hmac', 'months', 'outstanding', 'ageing', 'point_value', 'cohorts', 'deferrals', 'days_since', 'branch_digest', 'rank_moves', 'looked_from')
	   OR NOT report_routines.theirs_only
		  AND (p.pronamespace = 'loyalty_internal'::regnamespace AND (p.provolatile = 'i' AND p.proname ~ '^(points|phone|curp|lots)_' OR p.proname IN ('account_state', 'policy_state'))
			   OR p.pronamespace = 'loyalty'::regnamespace AND p.provolatile = 'i' AND p.proname IN ('entry_kind', 'unnest_lots', 'total', 'fold', 'birth_date'));
END;
COMMENT ON FUNCTION loyalty_internal.report_routines(boolean) IS
'Part of loyalty.grant_reporting(): the functions that views of reports run; theirs_only: less those that loyalty.grant_reading() gives too.';

-- What the schemas of reports have is a list itself: all of it is made for these roles.
CREATE FUNCTION loyalty_internal.bind_report_role(role name, merchant_id bigint, personal boolean) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	-- Tools call functions and operators by bare names, on rows that the owner of the database may not see.
	PERFORM loyalty_internal.prepare_role(role, true);
	IF personal IS NULL THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'personal is true or false.');
	END IF;
	-- Tools join on texts that have no statistics, and compiling what that seems to cost takes longer than it does.
	EXECUTE format('ALTER ROLE %I SET jit = off', role);
	EXECUTE format('GRANT USAGE ON SCHEMA loyalty_report TO %I', role);
	EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA loyalty_report TO %I', role);
	EXECUTE format('GRANT EXECUTE ON ALL ROUTINES IN SCHEMA loyalty_report TO %I', role);
	IF personal THEN
		EXECUTE format('GRANT USAGE ON SCHEMA loyalty_report_personal TO %I', role);
		EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA loyalty_report_personal TO %I', role);
	ELSE
		EXECUTE format('REVOKE ALL ON SCHEMA loyalty_report_personal FROM %I', role);
		EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA loyalty_report_personal FROM %I', role);
	END IF;
	-- What the views run: without USAGE on its schema nobody can call it.  Of loyalty only what computes, since others may have USAGE on that.
	EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO %I', loyalty_internal.report_routines(false), role);
	-- Also under a name that it had, which it may get back.
	DELETE FROM loyalty_internal.report_role g WHERE g.role = bind_report_role.role OR g.role_id = quote_ident(bind_report_role.role)::regrole;
	INSERT INTO loyalty_internal.report_role (role, merchant_id, personal, role_id) VALUES (role, merchant_id, personal, quote_ident(role)::regrole);
END
$$;
COMMENT ON FUNCTION loyalty_internal.bind_report_role(name, bigint, boolean) IS
'Part of loyalty.grant_reporting(). merchant_id NULL: all of them. Errors: LY005 invalid_argument.';

CREATE FUNCTION loyalty.grant_reporting(role name, merchant_id bigint, personal boolean DEFAULT false) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM loyalty_internal.require_merchant(grant_reporting.merchant_id);
	PERFORM loyalty_internal.bind_report_role(grant_reporting.role, grant_reporting.merchant_id, grant_reporting.personal);
END
$$;
COMMENT ON FUNCTION loyalty.grant_reporting(name, bigint, boolean) IS
'Lets a role, of a tool for reports, read the views of loyalty_report, and there one merchant only. personal: those of loyalty_report_personal too, which have names, phones, e-mails, birth dates and tickets. What the role was granted by this function before, it has no more; one that is to see several merchants is made a member of several roles, and knows people of those of which one of these does. Parameters of its statements, and of those of roles that may act as it, stay out of the server''s log from their next session on, and their search_path is pg_catalog, whatever the database''s owner makes that of the database. Run it again after an upgrade, when the role was renamed or made anew, after a restore on another server, or when another role is made a member of it; loyalty.revoke_reporting() takes it back. Errors: LY006 unknown_object, LY005 invalid_argument (PUBLIC, a predefined role, or one of the extension).';

CREATE FUNCTION loyalty.grant_reporting(role name, personal boolean DEFAULT false) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM loyalty_internal.bind_report_role(grant_reporting.role, NULL, grant_reporting.personal);
END
$$;
COMMENT ON FUNCTION loyalty.grant_reporting(name, boolean) IS
'The same for all merchants, those to come too. Errors: LY005 invalid_argument (PUBLIC, a predefined role, or one of the extension).';

CREATE FUNCTION loyalty.revoke_reporting(role name) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	reads boolean;
BEGIN
	PERFORM loyalty_internal.prepare_role(role);
	DELETE FROM loyalty_internal.report_role g WHERE g.role = revoke_reporting.role OR g.role_id = quote_ident(revoke_reporting.role)::regrole;
	SELECT count(*) > 0 INTO reads FROM pg_namespace n, aclexplode(n.nspacl) a JOIN pg_roles r ON r.oid = a.grantee
	WHERE n.nspname = 'loyalty' AND r.rolname = revoke_reporting.role;
	EXECUTE format('REVOKE ALL ON SCHEMA loyalty_report, loyalty_report_personal FROM %I', role);
	EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA loyalty_report, loyalty_report_personal FROM %I', role);
	EXECUTE format('REVOKE ALL ON ALL ROUTINES IN SCHEMA loyalty_report, loyalty_report_personal FROM %I', role);
	EXECUTE format('REVOKE ALL ON ROUTINE %s FROM %I', loyalty_internal.report_routines(reads), role);
END
$$;
COMMENT ON FUNCTION loyalty.revoke_reporting(name) IS
'Takes back all that loyalty.grant_reporting() gave a role, of whatever merchant, and also where it sees none any more because it was renamed or made anew. What loyalty.grant_reading() gives it keeps, and its settings. Errors: LY005 invalid_argument (PUBLIC, a predefined role, or one of the extension).';

CREATE FUNCTION loyalty.grant_reading(role name) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM loyalty_internal.prepare_role(role, true);
	EXECUTE format('GRANT USAGE ON SCHEMA loyalty TO %I', role);
	EXECUTE format('GRANT USAGE ON TYPE loyalty.points, loyalty.phone, loyalty.curp, loyalty.lots, loyalty.posting, loyalty.breach, loyalty.program_keys TO %I', role);
	EXECUTE format('GRANT SELECT ON
		loyalty.merchants, loyalty.branches, loyalty.holds, loyalty.ranks_held, loyalty.rank_ranges, loyalty.blacklisted_phones,
		loyalty.customers, loyalty.instalments, loyalty.payments, loyalty.commissions,
		loyalty.entry, loyalty.access_log, loyalty.allowances, loyalty.api_keys, loyalty.app_users, loyalty.app_user_keys, loyalty.app_user_grants, loyalty.area_codes, loyalty.balances,
		loyalty.consents, loyalty.entries, loyalty.error_codes, loyalty.limits, loyalty.member_changes, loyalty.members,
		loyalty.numbering_plan_ranges, loyalty.outbox, loyalty.policies, loyalty.products, loyalty.programs, loyalty.quotas, loyalty.row_limits, loyalty.rank_grants,
		loyalty.roots, loyalty.rules, loyalty.sql_roles, loyalty.staff_members, loyalty.wallets, loyalty.metrics, loyalty.progress, loyalty.maintenance TO %I', role);
	-- What computes, and can touch no table.
	EXECUTE format('GRANT EXECUTE ON ROUTINE
		loyalty.points(smallint), loyalty.points(integer), loyalty.points(bigint), loyalty.points(numeric),
		loyalty.abs, loyalty.sum, loyalty.avg, loyalty.min, loyalty.max, loyalty.percent_of, loyalty.area_code,
		loyalty.birth_date, loyalty.sex, loyalty.state, loyalty.age,
		loyalty.total, loyalty.total_due, loyalty.falls_below, loyalty.unnest_lots,
		loyalty.version, loyalty.fold, loyalty.entry_kind, loyalty.request_number, loyalty.instalment_cost, loyalty.check_receipt TO %I', role);
	-- What shows more of an account, or of a phone, than a view can.
	EXECUTE format('GRANT EXECUTE ON ROUTINE
		loyalty.balance_at, loyalty.lots_of, loyalty.statement, loyalty.member_statement, loyalty.month_statement, loyalty.rank_at, loyalty.rules_at, loyalty.receipt, loyalty.find_program,
		loyalty.find_member, loyalty.area_code_supported, loyalty.is_fixed_line, loyalty.health TO %I', role);
	-- What views and the types run: without USAGE on its schema nobody can call it.
	EXECUTE format('GRANT EXECUTE ON ROUTINE
		loyalty_internal.account_state, loyalty_internal.policy_state, loyalty_internal.settings_of, loyalty_internal.error_codes, loyalty_internal.shipped_area_codes, loyalty_internal.trimmed,
		loyalty_internal.metrics, loyalty_internal.progress, loyalty_internal.rows_of, loyalty_internal.maintenance_tasks TO %I', role);
	EXECUTE (SELECT format('GRANT EXECUTE ON ROUTINE %s TO %I', string_agg(p.oid::regprocedure::text, ', '), role)
			 FROM pg_proc p
			 WHERE p.pronamespace = 'loyalty_internal'::regnamespace AND p.provolatile = 'i' AND p.proname ~ '^(points|phone|curp|lots)_');
END
$$;
COMMENT ON FUNCTION loyalty.grant_reading(name) IS
'Lets a role read the views of schema loyalty and the ledger, loyalty.entry, of all merchants and with the names of people, compute with its types, and read accounts with balance_at, lots_of, statement, member_statement, month_statement, rank_at, rules_at and receipt, find programs and members with find_program and find_member, and read phones with area_code_supported and is_fixed_line. Parameters of its statements, and of those of roles that may act as it, stay out of the server''s log from their next session on, and their search_path is pg_catalog, whatever the database''s owner makes that of the database. Run it again after an upgrade, or when another role is made a member of it. Errors: LY005 invalid_argument (PUBLIC, a predefined role, or one of the extension).';

CREATE FUNCTION loyalty.grant_operation(role name) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM loyalty.grant_reading(role);
	EXECUTE format('GRANT EXECUTE ON ROUTINE
		loyalty.open_account, loyalty.create_member, loyalty.post, loyalty.post_batch, loyalty.sale, loyalty.simulate, loyalty.hold, loyalty.capture,
		loyalty.release, loyalty.reverse, loyalty.transfer, loyalty.expire_due, loyalty.share_account, loyalty.leave_account TO %I', role);
	EXECUTE format('GRANT EXECUTE ON ROUTINE
		loyalty.create_merchant, loyalty.dashboard_link, loyalty.rotate_dashboard_key, loyalty.create_api_key, loyalty.enable_api_key, loyalty.disable_api_key, loyalty.authenticate,
		loyalty.create_program, loyalty.create_wallet, loyalty.configure_program, loyalty.enable_program, loyalty.disable_program,
		loyalty.publish_rules, loyalty.set_rank, loyalty.set_rank_ranges, loyalty.recount_ranks,
		loyalty.set_limit, loyalty.remove_limit, loyalty.set_quota, loyalty.add_quota, loyalty.remove_quota, loyalty.set_row_limit, loyalty.remove_row_limit,
		loyalty.create_branch, loyalty.set_staff_branch, loyalty.set_staff_programs, loyalty.verify_staff_password,
		loyalty.identify_member, loyalty.correct_member, loyalty.set_member_address, loyalty.free_phone, loyalty.free_email,
		loyalty.enable_member, loyalty.disable_member,
		loyalty.blacklist_phone, loyalty.unblacklist_phone, loyalty.set_area_code, loyalty.apply_numbering_plan,
		loyalty.maintain, loyalty.maintain_step, loyalty.maintain_access_log, loyalty.set_maintenance, loyalty.claim_messages, loyalty.acknowledge_message, loyalty.forget_messages, loyalty.forget_idempotency_keys, loyalty.forget_access_log, loyalty.load_sandbox() TO %I', role);
	EXECUTE format('GRANT EXECUTE ON ROUTINE
		loyalty.verify(), loyalty.verify(bigint), loyalty.recount_days, loyalty.close_month, loyalty.verify_closes, loyalty.set_redemption_rate, loyalty.set_fraud_threshold, loyalty.make_root, loyalty.verify_root, loyalty.forget_roots TO %I', role);
	-- The documented APIs.
	EXECUTE format('GRANT EXECUTE ON ROUTINE
		loyalty.wallet_get, loyalty.wallet_contact_get, loyalty.wallet_contact_add, loyalty.wallet_sale, loyalty.wallet_balance_update,
		loyalty.employee_add, loyalty.employee_disable, loyalty.toolusers_get,
		loyalty.seller_program_list, loyalty.seller_program_get, loyalty.seller_member_list, loyalty.seller_member_get,
		loyalty.seller_member_balance, loyalty.seller_member_create, loyalty.seller_deposit, loyalty.seller_redemption, loyalty.seller_accumulation,
		loyalty.customer_token, loyalty.customer_read, loyalty.create_app_user, loyalty.enable_app_user, loyalty.disable_app_user, loyalty.rotate_private_key, loyalty.grant_app_user_api, loyalty.revoke_app_user_api, loyalty.create_customer, loyalty.configure_customers,
		loyalty.grant_consent, loyalty.revoke_consent, loyalty.block_customer, loyalty.unblock_customer, loyalty.set_customer_deceased, loyalty.set_customer_preferences, loyalty.set_token_life,
		loyalty.delete_blocked_customers, loyalty.erase_member, loyalty.erase_staff, loyalty.erase_sql_role, loyalty.export_member, loyalty.export_staff,
		loyalty.create_product, loyalty.change_product, loyalty.open_policy, loyalty.cancel_policy, loyalty.reopen_policy, loyalty.policy_status, loyalty.pay_policy TO %I', role);
	EXECUTE format('GRANT INSERT ON loyalty.numbering_plan TO %I', role);
	EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON loyalty.curp_record TO %I', role);
	EXECUTE format('GRANT EXECUTE ON FUNCTION loyalty_internal.is_name(text) TO %I', role);	-- which its checks run
END
$$;
COMMENT ON FUNCTION loyalty.grant_operation(name) IS
'Lets a role, a trusted SQL client, run the operations and the administration of every merchant and read the views. Parameters of its statements, and of those of roles that may act as it, stay out of the server''s log from their next session on, and their search_path is pg_catalog, whatever the database''s owner makes that of the database. Run it again after an upgrade, or when another role is made a member of it. Errors: LY005 invalid_argument (PUBLIC, a predefined role, or one of the extension).';

-- PostgREST reads its schema cache again when this commits.
NOTIFY pgrst, 'reload schema';
