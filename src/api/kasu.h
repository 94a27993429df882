/*
 * kasu.h
 *		The customer API of the KASU document.
 */
#ifndef LOYALTY_KASU_H
#define LOYALTY_KASU_H

#include "api/family.h"

extern const Family kasu_family;

#endif
