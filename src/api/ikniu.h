/*
 * ikniu.h
 *		The seller API of the IKNIU document.
 */
#ifndef LOYALTY_IKNIU_H
#define LOYALTY_IKNIU_H

#include "api/family.h"

extern const Family ikniu_family;

#endif
