/*
 * route.c
 *		Matching paths.
 *
 * The URI comes as it was sent, undecoded: it is split at its slashes first
 * and each segment is decoded by itself, so that an encoded slash is a part of
 * a segment and never a separator.
 */
#include "postgres.h"

#include "http/route.h"

/* Up to the next slash or the end of the path. */
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

/* Whether the path of uri is one of pattern; if so, its parameters. */
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
