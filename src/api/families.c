/*
 * families.c
 *		All documented APIs: the only file that knows every one of them.
 */
#include "postgres.h"

#include "api/families.h"
#include "api/ikniu.h"
#include "api/kasu.h"
#include "api/monedero.h"

/* The last one has whatever path no other has. */
static const Family *const families[] = {&ikniu_family, &kasu_family, &monedero_family};

/* The family that answers a path, whether it has that path or not. */
const Family *
family_of(const char *uri)
{
	int			i = 0;

	while (i < (int) lengthof(families) - 1 && strncmp(uri, families[i]->prefix, strlen(families[i]->prefix)) != 0)
		i++;
	return families[i];
}
