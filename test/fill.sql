-- Something in every table, written by the extension's own functions where there
-- is one.  Prints what is made up by chance, and the keys that are shown once.
SELECT loyalty.create_merchant('Café "La Ñ", \N; ''x''', 'https://ñ.example') AS m \gset
SELECT api_key FROM loyalty.create_api_key(:m, 'caja|1') \gset
SELECT key_id FROM loyalty.create_api_key(:m, 'vieja', now()) \gset
SELECT loyalty.disable_api_key(:m, :key_id) \g /dev/null
SELECT wallet_key AS w FROM loyalty.create_wallet(:m, 'Monedero', 12.3456, settings => json_build_object('decimals', 3, 'rounding', 'half_even')) \gset
SELECT wallet_key AS w2, client_id FROM loyalty.create_wallet(:m, 'Otro', 1, settings => json_build_object('decimals', 0, 'rounding', 'down', 'requires_ticket', true, 'requires_birth_date', true, 'channel', 'whatsapp', 'messages', '{}'::text[])) \gset
SELECT loyalty.set_rank_ranges(:m, 'niveles', '{Plata,Oro}', '{0,5}') \g /dev/null
SELECT loyalty.configure_program(:m, loyalty.find_program(:m, :'client_id'), json_build_object('duration_unit', 'year', 'duration_value', 100, 'range_group', 'niveles')) \g /dev/null
SELECT loyalty.employee_add(:m, 'gerente', 'Ana Peña', 'Centro', '4771000001', 'clave uno') \g /dev/null
SELECT loyalty.employee_add(:m, 'cajero', 'Íñigo', 'Norte', '4771000002', 'clave dos') \g /dev/null
SELECT loyalty.employee_add(:m, 'cajero', 'Ex', 'Norte', '4771000003', 'clave tres') \g /dev/null
SELECT loyalty.employee_disable(:m, '4771000003') \g /dev/null
SELECT loyalty.set_staff_branch(:m, 2, loyalty.create_branch(:m, 'Sur')) \g /dev/null
INSERT INTO loyalty_internal.report_role (role, merchant_id, personal, role_id) VALUES ('quien lee', :m, true, 1);
INSERT INTO loyalty_internal.staff_refusal (merchant_id, refused_at) VALUES (:m, ARRAY[now()]);
SELECT loyalty.set_staff_programs(:m, 2, ARRAY(SELECT program_id FROM loyalty.wallets WHERE wallet_key = :'w')) \g /dev/null
SELECT loyalty.wallet_contact_add(:m, :'w', '47712345' || i, 'Contacto ' || i, 1, CASE WHEN i % 2 = 0 THEN '1988-02-29' END)
	FROM generate_series(10, 59) i \g /dev/null
SELECT loyalty.wallet_sale(:m, :'w', '47712345' || i, 0, i * 1.01, NULL, 1, E'tab\t"' || i, 'sale-' || i) FROM generate_series(10, 59) i \g /dev/null
SELECT loyalty.wallet_balance_update(:m, :'w', '47712345' || i, 1, 0.125, 2) FROM generate_series(10, 59) i \g /dev/null
SELECT loyalty.wallet_contact_add(:m, :'w2', '5588880001', 'Con lotes', 1, '1970-12-31') AS member \gset
SELECT loyalty.wallet_sale(:m, :'w2', '5588880001', 0, 300 * i, NULL, 1, 'lote') FROM generate_series(1, 3) i \g /dev/null
SELECT loyalty.wallet_sale(:m, :'w2', '5588880001', 1, NULL, 4, 1, 'lote') \g /dev/null
SELECT loyalty.set_rank(:m, :member, rank, until, E'por "ñ"') FROM (VALUES ('Plata', now() + interval '100 years'), ('Oro', NULL)) v (rank, until) \g /dev/null
SELECT program_id AS p3 FROM loyalty.create_program(:m, 'Club', 'club') \gset
SELECT loyalty.configure_program(:m, loyalty.find_program(:m, 'club'), json_build_object('accumulation_points', 1, 'accumulation_money', 10, 'expiry', 'year_end', 'duration_unit', 'year', 'duration_value', 50)) \g /dev/null
SELECT loyalty.set_fraud_threshold(:m, 'burst_calls', 40) \g /dev/null
SELECT loyalty_internal.count_fraud(:m) \g /dev/null
SELECT loyalty.set_redemption_rate(:m, loyalty.find_program(:m, 'club'), 0.9, '2026-01-01'), loyalty.close_month(:m, loyalty.find_program(:m, 'club'), current_date - 62) \g /dev/null
SELECT loyalty.maintain_step(:m, 0, NULL, NULL, NULL, NULL), loyalty_internal.roll_up(:m) \g /dev/null
INSERT INTO loyalty_internal.month_close_line SELECT merchant_id, program_id, month, 1, false, 1, NULL, NULL, 1, 0 FROM loyalty_internal.month_close;
SELECT loyalty.publish_rules(:m, loyalty.find_program(:m, 'club'), '[{"name":"bono \"ñ\"","points":5,"max_member":8,"categories":["café"]},{"name":"bono","points":5,"max_member":8,"max_day":100,"days":[1,2,3,4,5,6,7]}]') \g /dev/null
SELECT loyalty.set_limit(:m, loyalty.find_program(:m, 'club'), 'member', 'spend', 100, 5) \g /dev/null
SELECT loyalty.seller_member_create(:m, 'club', 'f1@correo.example', 'Fa', 'Uno', client_id => 'F1') ->> 'id' AS owner, loyalty.seller_member_create(:m, 'club', 'f2@correo.example', 'Fa', 'Dos', client_id => 'F2') ->> 'id' AS guest \gset
SELECT entry_id AS sale FROM loyalty.sale(:m, :owner, 1000, reference => 'T1', staff_id => 1) \gset
SELECT loyalty.sale(:m, :guest, 500) \g /dev/null
SELECT loyalty.share_account(:m, :guest, :owner) \g /dev/null
SELECT loyalty.seller_member_create(:m, 'club', 'f3@correo.example', 'Fa', 'Tres', client_id => 'F3') ->> 'id' AS leaves, loyalty.seller_member_create(:m, 'club', 'f4@correo.example', 'Fa', 'Cuatro', client_id => 'F4') ->> 'id' AS stays \gset
SELECT loyalty.share_account(:m, :stays, :leaves), loyalty.leave_account(:m, :leaves) \g /dev/null
SELECT loyalty.seller_member_create(:m, 'club', 'f5@correo.example', 'Fa', 'Cinco', client_id => 'F5') ->> 'id' AS erased \gset
SELECT loyalty.seller_deposit(:m, '[{"programId":"club","memberId":"F5","amount":5,"comments":"de Fa Cinco","branchId":"Norte"}]') \g /dev/null
SELECT loyalty.post(:m, :leaves, 'deposit', 2, 'de quien se queda') \g /dev/null
SELECT loyalty.erase_member(:m, id) FROM unnest(ARRAY[:erased, :leaves]) id \g /dev/null
SELECT entry_id AS hold FROM loyalty.hold(:m, :owner, 40, 'H', release_at => now() + interval '100 years', member_id => :guest) \gset
SELECT loyalty.capture(:m, :owner, :hold, 15) \g /dev/null
SELECT loyalty.post(:m, :owner, 'deposit', 7, available_at => now() + interval '100 years', expires_at => now() + interval '101 years') \g /dev/null
SELECT loyalty.reverse(:m, :owner, :sale, reference => 'D1', money => 300) \g /dev/null
SELECT loyalty.open_account(:m, :p3) AS late \gset
SELECT entry_id AS expired FROM loyalty.post(:m, :late, 'deposit', 3, expires_at => clock_timestamp() + interval '2 seconds') \gset
SELECT pg_sleep(extract(epoch FROM due_at - clock_timestamp()) + 0.01) FROM loyalty_internal.account WHERE merchant_id = :m AND account_id = :late \g /dev/null
SELECT loyalty.reverse(:m, :late, :expired, 2, 'D3') \g /dev/null
SELECT root_id FROM loyalty.make_root(:m) \gset
INSERT INTO loyalty_internal.member_address (merchant_id, member_id, ordinal, street, city) VALUES (:m, :member, 1, 'Río Ñandú', 'León');
SELECT loyalty.disable_member(merchant_id, member_id) FROM loyalty.members WHERE merchant_id = :m AND phone::text = '4771234510' \g /dev/null
SELECT loyalty.blacklist_phone(:m, '4771234511', 'no paga') \g /dev/null
SELECT loyalty.set_quota(:m, 'redemptions', 777) \g /dev/null
SELECT loyalty.set_quota(:m, 'messages', 5) \g /dev/null
SELECT count(*) FROM loyalty.claim_messages(:m, 3) c, LATERAL loyalty.acknowledge_message(:m, c.message_id, c.attempt) \g /dev/null
SELECT count(*) FROM loyalty.claim_messages(:m, 3) \g /dev/null
SELECT loyalty.set_area_code('477', false) \g /dev/null
SELECT loyalty.set_area_code('999', true, 'Mérida, corregida') \g /dev/null
INSERT INTO loyalty.numbering_plan (nir, serie, numeracion_inicial, numeracion_final, tipo_red)
	VALUES ('33', '3614', '0000', '9999', 'FIJO'), ('222', '211', '5000', '5999', 'FIJO');
SELECT loyalty.apply_numbering_plan() \g /dev/null
INSERT INTO loyalty.numbering_plan (nir, estado) VALUES ('81', 'por cargar');
SELECT loyalty.customer_read(loyalty.load_sandbox(), 'individual_request', 'Api_KASU_Sandbox', 'CAMC880526HMCBNR04', 'Mail') \g /dev/null
SELECT loyalty.pay_policy(merchant_id, policy_id, '10', 'SPEI', 'R1', 'Api_KASU_Sandbox') FROM loyalty_internal.policy LIMIT 1 \g /dev/null
INSERT INTO loyalty.curp_record (merchant_id, curp, first_name, first_last_name) VALUES (:m, 'CAMC880526HMCBNR04', 'Carlos "ñ"', 'Cabrera');
SELECT FROM loyalty.verify() \g /dev/null
SELECT concat_ws('|', :m, :'api_key', :'w', :'w2', :owner, :guest, :sale, :hold, :root_id, :late, :expired);
