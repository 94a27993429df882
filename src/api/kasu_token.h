/*
 * kasu_token.h
 *		Tokens of the customer API, and what is done under a token.
 */
#ifndef LOYALTY_KASU_TOKEN_H
#define LOYALTY_KASU_TOKEN_H

#include "api/dispatch.h"
#include "types/curp.h"

#define KASU_MISSING {ERR_KASU_400, ERR_KASU_400}
#define KASU_REQUIRED(name, kind) {name, kind, REQUIRED,.absent = KASU_MISSING,.malformed = KASU_MISSING}
#define KASU_OPTIONAL(name, kind) {name, kind, OPTIONAL,.malformed = KASU_MISSING}
#define KASU_SECRET(name) {name, FIELD_TEXT, OPTIONAL,.malformed = KASU_MISSING,.secret = true}
/* A retry may have another. */
#define KASU_OPTIONAL_TOKEN(name) {name, FIELD_OBJECT, OPTIONAL,.malformed = KASU_MISSING,.secret = true}

/* The fields of every request under a token. */
enum
{
	KASU_OPERATION, KASU_USER, KASU_CURP, KASU_TOKEN, KASU_FIELDS
};

#define KASU_CURP_FIELD KASU_REQUIRED("curp_en_uso", FIELD_TEXT)
#define KASU_COMMON_FIELDS(...) \
	[KASU_OPERATION] = KASU_REQUIRED("tipo_peticion", FIELD_TEXT), \
	[KASU_USER] = KASU_REQUIRED("nombre_de_usuario", FIELD_TEXT), \
	[KASU_CURP] = __VA_ARGS__, \
	[KASU_TOKEN] = KASU_OPTIONAL_TOKEN("token_data")

/* What is logged of a text that is no word of the document. */
#define KASU_UNKNOWN "?"

/* How much an app user may be told of a customer. */
typedef enum Told
{
	TOLD_NOTHING,
	TOLD_POLICY,				/* how one policy stands */
	TOLD_ALL
} Told;

#define ANY_POLICY (-1)

extern const Endpoint kasu_token_full;

extern char *kasu_answer(StringInfo members, const char *key, const char *value);
extern void kasu_check_token(Call *call, const char *api);
extern bool kasu_find_customer(Call *call, Curp *curp);
extern int64 kasu_merchant(const Call *call);
extern const char *kasu_asked_curp(const Call *call);
extern Told kasu_consent(const Call *call, const char *acceptance, int64 *policy_id);
extern Told kasu_consent_to_names(const Call *call, const char *acceptance, int64 *policy_id);
extern void kasu_parse_curp(const Call *call, Curp *curp);
extern void kasu_check_alive(const Call *call, const Curp *curp);
extern void kasu_check_reading(Call *call, const char *acceptance, Curp *curp);
extern int64 kasu_merchant_of(const char *app_user);
extern bool kasu_is_text(const Value *value);
extern void kasu_record_access(const Call *call, int64 merchant_id, const char *request, int status);

#endif
