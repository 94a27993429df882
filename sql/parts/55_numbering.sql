/*
 * Mexico's numbering plan: which area codes are supported, and which numbers
 * are fixed lines, which receive no messages.
 */

-- In a function, not in the table: a subscriber that has the extension has them
-- already.  Codes and regions are those of libphonenumber's metadata for Mexico
-- (Apache License 2.0) as of 2026.
CREATE FUNCTION loyalty_internal.shipped_area_codes(OUT code text, OUT region text)
	RETURNS SETOF record
	LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 413
	AS $$
VALUES
	('220', 'Puebla'),
	('221', 'Puebla'),
	('222', 'Puebla'),
	('223', 'Puebla'),
	('224', 'Puebla'),
	('225', 'Tlapacoyan, VER'),
	('226', 'Altotonga/Jalacingo, VER'),
	('227', 'Huejotzingo/San Buenaventura Nealtican, PUE'),
	('228', 'Jalapa/Tuzamapan, VER'),
	('229', 'Veracruz, VER'),
	('231', 'Teteles/Teziutlán, PUE'),
	('232', 'La Vigueta/Martínez de la Torre, VER'),
	('233', 'Puebla'),
	('235', 'Veracruz'),
	('236', 'Oaxaca/Puebla'),
	('237', 'Puebla'),
	('238', 'Santiago Miahuatlán/Tehuacán, PUE'),
	('241', 'Tlaxcala'),
	('243', 'Puebla'),
	('244', 'Puebla'),
	('245', 'Puebla'),
	('246', 'Tlaxcala'),
	('247', 'Huamantla/San Cosme Xalostoc, TLAX'),
	('248', 'Puebla'),
	('249', 'Puebla'),
	('271', 'Veracruz'),
	('272', 'Maltrata/Orizaba, VER'),
	('273', 'Veracruz'),
	('274', 'Oaxaca'),
	('275', 'Puebla'),
	('276', 'Puebla'),
	('278', 'Veracruz'),
	('279', 'Veracruz'),
	('281', 'Loma Bonita, OAX'),
	('282', 'Puebla/Veracruz'),
	('283', 'Veracruz'),
	('284', 'Ángel Rosario Cabada/Lerdo de Tejada, VER'),
	('285', 'Veracruz'),
	('287', 'Oaxaca'),
	('288', 'Veracruz'),
	('294', 'Veracruz'),
	('296', 'Veracruz'),
	('297', 'Alvarado, VER'),
	('311', 'Nayarit'),
	('312', 'Colima/Los Tepames, COL'),
	('313', 'Colima'),
	('314', 'Manzanillo/Peña Colorada, COL'),
	('315', 'Jalisco'),
	('316', 'Jalisco'),
	('317', 'Autlán/El Chante, JAL'),
	('319', 'Nayarit'),
	('321', 'El Grullo/El Limon, JAL'),
	('322', 'Jalisco'),
	('323', 'Nayarit'),
	('324', 'Nayarit'),
	('325', 'Acaponeta, NAY'),
	('326', 'Jalisco'),
	('327', 'Nayarit'),
	('328', 'Michoacán'),
	('329', 'Nayarit'),
	('33', 'Guadalajara, JAL'),
	('341', 'Ciudad Guzmán, JAL'),
	('342', 'Gómez Farías/Sayula, JAL'),
	('343', 'Jalisco'),
	('344', 'Mexticacan/Yahualica, JAL'),
	('345', 'Jalisco'),
	('346', 'Jalisco/Zacatecas'),
	('347', 'Jalisco'),
	('348', 'Jalisco'),
	('349', 'Jalisco'),
	('351', 'Ario de Rayón/Zamora, MICH'),
	('352', 'La Piedad, MICH'),
	('353', 'Michoacán'),
	('354', 'Michoacán'),
	('355', 'Michoacán'),
	('356', 'Tanhuato/Yurécuaro, MICH'),
	('357', 'Jalisco'),
	('358', 'Tamazula/Zapotiltic, JAL'),
	('359', NULL),
	('371', 'Jalisco'),
	('372', 'Jalisco'),
	('373', 'Jalisco'),
	('374', 'Jalisco'),
	('375', 'Ameca, JAL'),
	('376', 'Jalisco'),
	('377', 'Cocula/Estipac, JAL'),
	('378', 'Jalisco'),
	('381', 'Cojumatlan/San Jose de Gracia, MICH'),
	('382', 'Jalisco'),
	('383', 'Michoacán'),
	('384', 'Tala/Teuchitlan, JAL'),
	('385', 'Jalisco'),
	('386', 'Jalisco'),
	('387', 'Jalisco'),
	('388', 'Jalisco'),
	('389', 'Nayarit'),
	('391', 'Jalisco'),
	('392', 'Jamay/Ocotlán, JAL'),
	('393', 'Jalisco'),
	('394', 'Cotija de la Paz, MICH'),
	('395', 'Jalisco'),
	('411', 'Guanajuato'),
	('412', 'Guanajuato'),
	('413', 'Apaseo el Alto/Apaseo el Grande, GTO'),
	('414', 'Tequisquiapan, QRO'),
	('415', 'San Miguel Allende, GTO'),
	('417', 'Guanajuato'),
	('418', 'Dolores Hidalgo/San Diego de la Unión, GTO'),
	('419', 'Guanajuato'),
	('421', 'Guanajuato'),
	('422', 'Michoacán'),
	('423', 'Michoacán'),
	('424', 'Michoacán'),
	('425', 'Michoacán'),
	('426', 'Michoacán'),
	('427', 'México/Querétaro'),
	('428', 'Ocampo/San Felipe, GTO'),
	('429', 'Guanajuato'),
	('431', 'Jalostotitlán/Villa Obregón, JAL'),
	('432', 'Ciudad Manuel Doblado/Romita, GTO'),
	('433', 'Zacatecas'),
	('434', 'Michoacán'),
	('435', 'Huetamo/San Lucas, MICH'),
	('436', 'Zacapu, MICH'),
	('437', 'Jalisco/Zacatecas'),
	('438', 'Michoacán'),
	('440', NULL),
	('441', 'Querétaro'),
	('442', 'Querétaro'),
	('443', 'Morelia/Tarímbaro, MICH'),
	('444', 'San Luis Potosí, SLP'),
	('445', 'Moroleon, GTO'),
	('446', 'Querétaro'),
	('447', 'Contepec/Maravatío, MICH'),
	('448', 'Querétaro'),
	('449', 'Aguascalientes/Jesús María, AGS'),
	('450', 'Morelia'),
	('451', 'Michoacán'),
	('452', 'Nuevo San Juan Parangaricutiro/Uruapan, MICH'),
	('453', 'Apatzingán, MICH'),
	('454', 'Michoacán'),
	('455', 'Michoacán'),
	('456', 'Valle de Santiago, GTO'),
	('457', 'Jalisco/Zacatecas'),
	('458', 'Zacatecas'),
	('459', 'Michoacán'),
	('461', 'Guanajuato'),
	('462', 'Irapuato, GTO'),
	('463', 'Jalpa/Tabasco, ZAC'),
	('464', 'Salamanca, GTO'),
	('465', 'Aguascalientes'),
	('466', 'Guanajuato'),
	('467', 'Zacatecas'),
	('468', 'San Luis de la Paz, GTO'),
	('469', 'Buenavista de Cortés/Pénjamo, GTO'),
	('471', 'Purepero/Tlazazalca, MICH'),
	('472', 'Silao, GTO'),
	('473', 'Guanajuato, GTO'),
	('474', 'Lagos de Moreno/Paso de Cuarenta, JAL'),
	('475', 'Bajío de San José/Encarnación de Diaz, JAL'),
	('476', 'San Francisco del Rincón, GTO'),
	('477', 'León, GTO'),
	('478', 'Calera Victor Rosales, ZAC'),
	('479', 'León, GTO'),
	('481', 'Ciudad Valles, SLP'),
	('482', 'San Luis Potosí'),
	('483', 'San Luis Potosí'),
	('485', 'San Luis Potosí'),
	('486', 'San Luis Potosí'),
	('487', 'San Luis Potosí'),
	('488', 'San Luis Potosí'),
	('489', 'San Luis Potosí'),
	('492', 'Zacatecas'),
	('493', 'Fresnillo, ZAC'),
	('494', 'Jerez de García Salinas, ZAC'),
	('495', 'Aguascalientes/Jalisco'),
	('496', 'Zacatecas'),
	('498', 'Zacatecas'),
	('499', 'Jalisco/Zacatecas'),
	('55', 'Ciudad de México, CDMX'),
	('56', 'Ciudad de México, CDMX'),
	('588', 'Estado de México'),
	('591', 'Estado de México'),
	('592', 'Estado de México'),
	('593', 'Estado de México'),
	('594', 'Estado de México'),
	('595', 'Estado de México'),
	('596', 'Estado de México'),
	('597', 'Estado de México'),
	('599', 'Estado de México'),
	('612', 'La Paz/Todos Santos, BCS'),
	('613', 'Baja California Sur'),
	('614', 'Chihuahua'),
	('615', 'Baja California Sur'),
	('616', 'Baja California'),
	('618', 'Colonia Hidalgo/Durango, DGO'),
	('621', 'Chihuahua'),
	('622', 'Guaymas/San Carlos, SON'),
	('623', 'Sonora'),
	('624', 'Baja California Sur'),
	('625', 'Chihuahua'),
	('626', 'Ojinaga, CHIH'),
	('627', 'Parral, CHIH'),
	('628', 'Chihuahua'),
	('629', 'Chihuahua'),
	('631', 'Nogales, SON'),
	('632', 'Ímuris/Magdalena, SON'),
	('633', 'Sonora'),
	('634', 'Sonora'),
	('635', 'Chihuahua'),
	('636', 'Chihuahua'),
	('637', 'Altar/Caborca, SON'),
	('638', 'Puerto Penasco, SON'),
	('639', 'Chihuahua'),
	('641', 'Benjamín Hill/Santa Ana, SON'),
	('642', 'Navojoa/Pueblo Mayo, SON'),
	('643', 'Sonora'),
	('644', 'Sonora'),
	('645', 'Cananea, SON'),
	('646', 'Baja California'),
	('647', 'Sonora'),
	('648', 'Boquilla/Ciudad Camargo, CHIH'),
	('649', 'Chihuahua/Durango'),
	('651', 'Sonoita, SON'),
	('652', 'Chihuahua'),
	('653', 'Luis B. Sánchez/San Luis Río Colorado, SON'),
	('656', 'Chihuahua'),
	('657', 'Chihuahua'),
	('658', 'Baja California'),
	('659', 'Chihuahua'),
	('660', 'Culiacán'),
	('661', 'Primo Tapia/Rosarito, BCN'),
	('662', 'Sonora'),
	('663', 'Tijuana, BCN'),
	('664', 'Tijuana, BCN'),
	('665', 'Tecate, BCN'),
	('667', 'Sinaloa'),
	('668', 'Sinaloa'),
	('669', 'Sinaloa'),
	('671', 'Durango'),
	('672', 'Sinaloa'),
	('673', 'Sinaloa'),
	('674', 'Durango'),
	('675', 'Durango'),
	('676', 'Durango'),
	('677', 'Durango'),
	('686', 'Baja California'),
	('687', 'Sinaloa'),
	('694', 'Sinaloa'),
	('695', 'Sinaloa'),
	('696', 'Sinaloa'),
	('697', 'Sinaloa'),
	('698', 'Sinaloa'),
	('711', 'México/Michoacán'),
	('712', 'Estado de México'),
	('713', 'Santiago Tianguistenco, MEX'),
	('714', 'Estado de México'),
	('715', 'Michoacán'),
	('716', 'Estado de México'),
	('717', 'Estado de México'),
	('718', 'Estado de México'),
	('719', 'San Francisco Xonacatlán/Temoaya, MEX'),
	('720', 'Toluca'),
	('721', 'Ixtapan de la Sal, MEX'),
	('722', 'Estado de México'),
	('723', 'Coatepec Harinas, MEX'),
	('724', 'Luvianos/Tejupilco de Hidalgo, MEX'),
	('725', 'Almoloya de Juárez/Santa María del Monte, MEX'),
	('726', 'Estado de México'),
	('727', 'Guerrero'),
	('728', 'Lerma/Santa María Atarasquillo, MEX'),
	('729', 'Estado de México'),
	('731', 'Morelos'),
	('732', 'Guerrero'),
	('733', 'Iguala, GRO'),
	('734', 'Morelos'),
	('735', 'Cuautla/Jonacatepec, MOR'),
	('736', 'Guerrero'),
	('737', 'Morelos'),
	('738', 'Mixquiahuala/Tepatepec, HGO'),
	('739', 'Huitzilac/Tepoztlan, MOR'),
	('741', 'Guerrero'),
	('742', 'Guerrero'),
	('743', 'Hidalgo'),
	('744', 'Acapulco/Xaltianguis, GRO'),
	('745', 'Guerrero'),
	('746', 'Puebla/Veracruz'),
	('747', 'Guerrero'),
	('748', 'Hidalgo'),
	('749', 'Calpulalpan, TLAX'),
	('751', 'Morelos'),
	('753', 'Michoacán'),
	('754', 'Guerrero'),
	('755', 'Ixtapa/Zihuatanejo, GRO'),
	('756', 'Chilapa/Olinalá, GRO'),
	('757', 'Huamuxtitlan/Tlapa de Comonfort, GRO'),
	('758', 'Petatlan/San Jeronimito, GRO'),
	('759', 'Hidalgo'),
	('761', 'Hidalgo'),
	('762', 'Taxco, GRO'),
	('763', 'Tezontepec de Aldama/Tlahuelilpan, HGO'),
	('764', 'Puebla'),
	('765', 'Álamo Temapache/Alazán/Potrero del Llano, VER'),
	('766', 'Gutiérrez Zamora/Tecolutla, VER'),
	('767', 'Guerrero'),
	('768', 'Veracruz'),
	('769', 'Morelos'),
	('770', 'Cuernavaca/Emiliano Zapata/Temixco/Xochitepec/Jiutepec'),
	('771', 'Pachuca/Real del Monte, HGO'),
	('772', 'Actopan, HGO'),
	('773', 'Hidalgo'),
	('774', 'Hidalgo'),
	('775', 'Tulancingo, HGO'),
	('776', 'Puebla'),
	('777', 'Morelos'),
	('778', 'Hidalgo'),
	('779', 'Tizayuca, HGO'),
	('781', 'Coyuca de Benítez/San Jerónimo de Juárez, GRO'),
	('782', 'Poza Rica, VER'),
	('783', 'Tuxpan, VER'),
	('784', 'Veracruz'),
	('785', 'Veracruz'),
	('786', 'Ciudad Hidalgo/Tuxpan, MICH'),
	('789', 'Veracruz'),
	('791', 'Ciudad Sahagún, HGO'),
	('797', 'Puebla'),
	('81', 'Monterrey, NL'),
	('821', 'Hualahuises/Linares, NL'),
	('823', 'Nuevo León'),
	('824', 'Sabinas Hidalgo, NL'),
	('825', 'Nuevo León'),
	('826', 'Nuevo León'),
	('828', 'Cadereyta, NL'),
	('829', 'Nuevo León'),
	('831', 'Ciudad Mante/Los Aztecas, TAMPS'),
	('832', 'Tamaulipas'),
	('833', 'Tampico, TAMPS'),
	('834', 'Ciudad Victoria, TAMPS'),
	('835', 'Tamaulipas'),
	('836', 'Tamaulipas'),
	('841', 'Tamaulipas'),
	('842', 'Coahuila'),
	('844', 'Saltillo, COAH'),
	('845', 'Ebano/Ponciano Arriaga, SLP'),
	('846', 'Veracruz'),
	('861', 'Nueva Rosita/Sabinas, COAH'),
	('862', 'Coahuila'),
	('864', 'Coahuila'),
	('866', 'Castaños/Monclova, COAH'),
	('867', 'Nuevo León/Tamaulipas'),
	('868', 'Tamaulipas'),
	('869', 'Cuatro Ciénegas/San Buenaventura, COAH'),
	('870', 'Coahuila/Durango'),
	('871', 'Coahuila'),
	('872', 'Coahuila/Durango'),
	('873', 'Nuevo León'),
	('877', 'Ciudad Acuña, COAH'),
	('878', 'Piedras Negras, COAH'),
	('891', 'Tamaulipas'),
	('892', 'Nuevo León'),
	('894', 'Santa Apolonia/Valle Hermoso, TAMPS'),
	('897', 'Tamaulipas'),
	('899', 'Tamaulipas'),
	('913', 'Tabasco'),
	('914', 'Tabasco'),
	('916', 'Chiapas'),
	('917', 'Tabasco'),
	('918', 'Chiapas'),
	('919', 'Chiapas'),
	('921', 'Coatzacoalcos/Ixhuatlán del Sureste, VER'),
	('922', 'Veracruz'),
	('923', 'Tabasco/Veracruz'),
	('924', 'Veracruz'),
	('932', 'Chiapas/Tabasco'),
	('933', 'Tabasco'),
	('934', 'Tabasco'),
	('936', 'Tabasco'),
	('937', 'Cárdenas, TAB'),
	('938', 'Ciudad del Carmen, CAMP'),
	('951', 'Oaxaca'),
	('953', 'Oaxaca'),
	('954', 'Oaxaca'),
	('958', 'Oaxaca'),
	('960', 'Tuxtla Gutiérrez'),
	('961', 'Chiapas'),
	('962', 'Chiapas'),
	('963', 'Chiapas'),
	('964', 'Chiapas'),
	('965', 'Chiapas'),
	('966', 'Arriaga/Tonalá, CHIS'),
	('967', 'San Cristóbal de las Casas, CHIS'),
	('968', 'Chiapas'),
	('969', 'Flamboyanes/Yucalpeten, YUC'),
	('971', 'Oaxaca'),
	('972', 'Oaxaca'),
	('981', 'Campeche, CAMP'),
	('982', 'Campeche'),
	('983', 'Quintana Roo'),
	('984', 'Quintana Roo'),
	('985', 'Yucatán'),
	('986', 'Yucatán'),
	('987', 'Cozumel, QROO'),
	('988', 'Yucatán'),
	('990', 'Mérida'),
	('991', 'Yucatán'),
	('992', 'Chiapas'),
	('993', 'Tabasco'),
	('994', 'Oaxaca'),
	('995', 'Magdalena Tequisistlán/Santa Maria Jalapa del Marqués, OAX'),
	('996', 'Campeche'),
	('997', 'Yucatán'),
	('998', 'Quintana Roo'),
	('999', 'Conkal/Mérida, YUC')
$$;
COMMENT ON FUNCTION loyalty_internal.shipped_area_codes() IS
	'The area codes that are supported unless loyalty.set_area_code() says otherwise, with their city or state; NULL if it is not known.';

CREATE TABLE loyalty_internal.supported_area_code (
	code text COLLATE "C" PRIMARY KEY CHECK (code ~ '^[0-9]{2,3}$'),
	region text,
	supported boolean NOT NULL
);
COMMENT ON TABLE loyalty_internal.supported_area_code IS
	'Area codes that override the shipped ones, or are further ones. Change them with loyalty.set_area_code().';
COMMENT ON COLUMN loyalty_internal.supported_area_code.code IS
	'area code (lada): 2 digits for 33, 55, 56 and 81, otherwise 3';
COMMENT ON COLUMN loyalty_internal.supported_area_code.region IS
	'city or state; NULL if it is not known';
COMMENT ON COLUMN loyalty_internal.supported_area_code.supported IS
	'whether numbers with this code may be registered';
GRANT SELECT, INSERT, UPDATE ON TABLE loyalty_internal.supported_area_code TO loyalty_engine;

CREATE VIEW loyalty.area_codes AS
SELECT a.code, a.region, a.supported FROM loyalty_internal.supported_area_code a
UNION ALL
SELECT s.code, s.region, true FROM loyalty_internal.shipped_area_codes() s
WHERE NOT EXISTS (SELECT FROM loyalty_internal.supported_area_code a WHERE a.code = s.code);
COMMENT ON VIEW loyalty.area_codes IS
	'The area codes in effect: the shipped ones, but for those that loyalty.set_area_code() has changed, and what it has added.';

CREATE FUNCTION loyalty.set_area_code(code text, supported boolean, region text DEFAULT NULL)
	RETURNS void
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
BEGIN
	PERFORM loyalty_internal.require_short(set_area_code.region);
	-- A code that no phone number can have would silently change nothing.
	IF set_area_code.code IS NULL OR set_area_code.code !~ '^[0-9]{2,3}$'
		OR loyalty.area_code(rpad(set_area_code.code, 10, '0')::loyalty.phone) <> set_area_code.code THEN
		RAISE EXCEPTION USING
			ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('invalid area code: "%s"', set_area_code.code),
			DETAIL = 'An area code is 33, 55, 56, 81 or any other three digits.';
	END IF;
	IF set_area_code.supported IS NULL THEN
		RAISE EXCEPTION USING
			ERRCODE = 'null_value_not_allowed',
			MESSAGE = 'supported must not be null';
	END IF;
	INSERT INTO loyalty_internal.supported_area_code AS a (code, region, supported)
	VALUES (set_area_code.code,
			coalesce(set_area_code.region,
					 (SELECT e.region FROM loyalty.area_codes e WHERE e.code = set_area_code.code COLLATE "C")),
			set_area_code.supported)
	ON CONFLICT (code) DO UPDATE
		SET region = excluded.region, supported = excluded.supported;
END
$$;
COMMENT ON FUNCTION loyalty.set_area_code(text, boolean, text) IS
	'Adds an area code or overrides the shipped one; without a region it keeps the one it had. Errors: LY005 invalid_argument (a region of more than 1,024 bytes), 22023 if the code is not 33, 55, 56, 81 or three other digits; 22004 if supported is NULL.';

CREATE FUNCTION loyalty.area_code_supported(phone loyalty.phone)
	RETURNS boolean
	LANGUAGE sql STABLE STRICT SECURITY DEFINER PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$
		SELECT coalesce((SELECT a.supported FROM loyalty_internal.supported_area_code a WHERE a.code = loyalty.area_code(phone)),
						EXISTS (SELECT FROM loyalty_internal.shipped_area_codes() s WHERE s.code = loyalty.area_code(phone)))
	$$;
COMMENT ON FUNCTION loyalty.area_code_supported(loyalty.phone) IS
	'Whether the area code of the number is in loyalty.area_codes and supported.';

CREATE TABLE loyalty_internal.fixed_line_range (
	numbers int8range PRIMARY KEY CHECK (NOT isempty(numbers)),
	note text,
	EXCLUDE USING gist (numbers WITH &&)
);
COMMENT ON TABLE loyalty_internal.fixed_line_range IS
	'Ranges of ten-digit numbers that are fixed lines; they never overlap. loyalty.apply_numbering_plan() replaces them.';
COMMENT ON COLUMN loyalty_internal.fixed_line_range.numbers IS
	'the ten-digit numbers, as bigint';
COMMENT ON COLUMN loyalty_internal.fixed_line_range.note IS
	'where the range comes from';
GRANT SELECT, INSERT, DELETE ON TABLE loyalty_internal.fixed_line_range TO loyalty_engine;

CREATE TABLE loyalty.numbering_plan (
	clave_censal text,
	poblacion text,
	municipio text,
	estado text,
	presuscripcion text,
	region text,
	asl text,
	nir text COLLATE "C",
	serie text COLLATE "C",
	numeracion_inicial text COLLATE "C",
	numeracion_final text COLLATE "C",
	ocupacion text,
	tipo_red text COLLATE "C",
	modalidad text COLLATE "C",
	razon_social text,
	fecha_asignacion text,
	fecha_consolidacion text,
	fecha_migracion text,
	nir_anterior text
);
COMMENT ON TABLE loyalty.numbering_plan IS
	'Staging table with the columns of the regulator''s (IFT) numbering-plan CSV: fill it with \copy loyalty.numbering_plan FROM ''plan.csv'' CSV HEADER ENCODING ''LATIN1'', then call loyalty.apply_numbering_plan(). A file with other columns is copied with a column list; ten-digit numbers in numeracion_inicial and numeracion_final need no nir and serie.';
COMMENT ON COLUMN loyalty.numbering_plan.nir IS
	'area code';
COMMENT ON COLUMN loyalty.numbering_plan.serie IS
	'the digits between the area code and the last four';
COMMENT ON COLUMN loyalty.numbering_plan.numeracion_inicial IS
	'first number of the range: its last four digits, or all ten';
COMMENT ON COLUMN loyalty.numbering_plan.numeracion_final IS
	'last number of the range: its last four digits, or all ten';
COMMENT ON COLUMN loyalty.numbering_plan.tipo_red IS
	'kind of network: FIJO or MOVIL';
COMMENT ON COLUMN loyalty.numbering_plan.modalidad IS
	'FIJO, CPP or MPP; consulted where tipo_red is missing';
-- Rows have nothing by which they differ, and yet may be corrected where the table is published.
ALTER TABLE loyalty.numbering_plan REPLICA IDENTITY FULL;
GRANT SELECT, TRUNCATE ON TABLE loyalty.numbering_plan TO loyalty_engine;

CREATE VIEW loyalty.numbering_plan_ranges AS
SELECT p.nir, p.serie, p.numeracion_inicial, p.numeracion_final, d.network, r.first_number, r.last_number
FROM loyalty.numbering_plan p
	CROSS JOIN LATERAL (
		SELECT loyalty_internal.trimmed(p.nir) || loyalty_internal.trimmed(p.serie) AS prefix,
			loyalty_internal.trimmed(p.numeracion_inicial) AS first_digits,
			loyalty_internal.trimmed(p.numeracion_final) AS last_digits,
			upper(coalesce(nullif(loyalty_internal.trimmed(p.tipo_red), ''), nullif(loyalty_internal.trimmed(p.modalidad), '')) COLLATE "C") AS network) d
	CROSS JOIN LATERAL (
		SELECT CASE
				WHEN d.prefix ~ '^[0-9]{6}$' AND d.first_digits ~ '^[0-9]{1,4}$'
					THEN (d.prefix || lpad(d.first_digits, 4, '0'))::bigint
				WHEN coalesce(d.prefix, '') = '' AND d.first_digits ~ '^[0-9]{10}$'
					THEN d.first_digits::bigint
			END AS first_number,
			CASE
				WHEN d.prefix ~ '^[0-9]{6}$' AND d.last_digits ~ '^[0-9]{1,4}$'
					THEN (d.prefix || lpad(d.last_digits, 4, '0'))::bigint
				WHEN coalesce(d.prefix, '') = '' AND d.last_digits ~ '^[0-9]{10}$'
					THEN d.last_digits::bigint
			END AS last_number) r;
COMMENT ON VIEW loyalty.numbering_plan_ranges IS
	'What loyalty.apply_numbering_plan() makes of each row of the staging table; a number is NULL where its text is malformed.';

CREATE FUNCTION loyalty.apply_numbering_plan()
	RETURNS bigint
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	bad record;
	applied bigint;
BEGIN
	-- Rows that arrive after they were read must not be lost by TRUNCATE.
	LOCK TABLE loyalty.numbering_plan IN ACCESS EXCLUSIVE MODE;
	IF NOT EXISTS (SELECT FROM loyalty.numbering_plan) THEN
		RAISE EXCEPTION USING
			ERRCODE = 'invalid_parameter_value',
			MESSAGE = 'the numbering plan is empty',
			HINT = 'Copy the regulator''s CSV into loyalty.numbering_plan first.';
	END IF;

	SELECT * INTO bad
	FROM loyalty.numbering_plan_ranges r
	WHERE r.first_number IS NULL OR r.last_number IS NULL
		OR r.first_number > r.last_number OR r.network IS NULL
	ORDER BY r.nir, r.serie, r.numeracion_inicial, r.numeracion_final
	LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING
			ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('malformed row in the numbering plan: nir %s, serie %s, numeracion_inicial %s, numeracion_final %s, network %s',
							 quote_nullable(bad.nir), quote_nullable(bad.serie),
							 quote_nullable(bad.numeracion_inicial), quote_nullable(bad.numeracion_final),
							 quote_nullable(bad.network)),
			DETAIL = 'A row needs nir and serie with six digits together and up to four digits in each numeracion (or ten digits there and no nir and serie), in ascending order, and tipo_red or modalidad.';
	END IF;

	DELETE FROM loyalty_internal.fixed_line_range;
	-- A multirange joins what is adjacent or overlaps.
	INSERT INTO loyalty_internal.fixed_line_range (numbers, note)
	SELECT unnest(range_agg(int8range(r.first_number, r.last_number, '[]'))), 'numbering plan'
	FROM loyalty.numbering_plan_ranges r
	WHERE r.network = 'FIJO';
	GET DIAGNOSTICS applied = ROW_COUNT;
	TRUNCATE loyalty.numbering_plan;
	RETURN applied;
END
$$;
COMMENT ON FUNCTION loyalty.apply_numbering_plan() IS
	'Replaces the ranges of fixed lines by the FIJO rows of loyalty.numbering_plan, adjacent and overlapping ones merged; empties the staging table; returns the number of ranges. Errors: 22023, nothing changed, if a row is malformed or there is none.';

CREATE FUNCTION loyalty.is_fixed_line(phone loyalty.phone)
	RETURNS boolean
	LANGUAGE sql STABLE STRICT SECURITY DEFINER PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$
		SELECT EXISTS (SELECT FROM loyalty_internal.fixed_line_range f WHERE f.numbers @> phone::bigint)
	$$;
COMMENT ON FUNCTION loyalty.is_fixed_line(loyalty.phone) IS
	'Whether the number lies in a range of fixed lines, which apply_numbering_plan() sets.';
