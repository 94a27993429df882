/*
 * fold.h
 *		When two texts are the same to whoever reads them.
 */
#ifndef LOYALTY_FOLD_H
#define LOYALTY_FOLD_H

extern bool text_is_blank(const char *text);
extern char *text_trimmed(const char *text);
extern char *text_folded(const char *text);

#endif
