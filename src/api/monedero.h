/*
 * monedero.h
 *		The wallet API of the Monedero document.
 */
#ifndef LOYALTY_MONEDERO_H
#define LOYALTY_MONEDERO_H

#include "api/family.h"

extern const Family monedero_family;

#endif
