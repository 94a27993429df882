/*
 * sort.h
 *		Sorting, in a time that no order of what is sorted makes long.
 */
#ifndef LOYALTY_SORT_H
#define LOYALTY_SORT_H

#include "postgres.h"

extern void merge_sort(void *array, size_t n, size_t size, int (*compare) (const void *a, const void *b));

#endif
