/*
 * route.c
 *		Matching paths.
 *
 * The URI comes undecoded.  It is split at its slashes, and then each segment
 * is decoded, so that an encoded slash is part of a segment and no separator.
 */
#include "postgres.h"

#include "http/route.h"

/* The length up to the next slash or the end of the path. */
static size_t
segment_length(const char *path)
{
	return strcspn(path, "/?#");
}

static bool
at_end(const char *path)
{
	return *path == '\0' || *path == '?' || *path == '#';
}

static bool
take_parameter(const char *pattern, size_t pattern_length, const char *segment, size_t length,
			   FormField parameter, void *context)
{
	char	   *value;

	if (length == 0)
		return false;
	value = form_decode_segment(segment, length);
	if (value == NULL)
		return false;
	if (parameter != NULL)
		parameter(context, pnstrdup(pattern + 1, pattern_length - 1), value);
	return true;
}

/* Whether the path of a URI matches a pattern; parameter, unless NULL, is called for each ":name" of it. */
bool
route_matches(const char *pattern, const char *uri, FormField parameter, void *context)
{
	while (*pattern == '/' && *uri == '/')
	{
		size_t		pattern_length = segment_length(++pattern);
		size_t		length = segment_length(++uri);

		if (*pattern == ':')
		{
			if (!take_parameter(pattern, pattern_length, uri, length, parameter, context))
				return false;
		}
		else if (length != pattern_length || memcmp(pattern, uri, length) != 0)
			return false;
		pattern += pattern_length;
		uri += length;
	}
	return *pattern == '\0' && at_end(uri);
}
