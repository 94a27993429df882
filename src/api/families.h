/*
 * families.h
 *		All documented APIs.
 */
#ifndef LOYALTY_FAMILIES_H
#define LOYALTY_FAMILIES_H

#include "api/family.h"

extern const Family *family_of(const char *uri);

#endif
