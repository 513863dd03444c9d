/*
 * name_tokens.c
 *	  A name as words that can be compared: "BillingPostalCode", "Billing Postal
 *	  Codes" and "billing_postal_code" are the same three.
 *
 * Words are lower case, without accents (by the server's Unicode normalization) and
 * plural endings.  They are in UTF-8 whatever the database's encoding is, because
 * the shipped vocabulary is ASCII and both sides are treated alike.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "common/string.h"
#include "common/unicode_norm.h"
#include "mb/pg_wchar.h"
#include "utils/formatting.h"

#include "catalog/names.h"

/* In bytes.  The rest of a longer name does not matter. */
#define MAX_NAME_LENGTH 512

/* What a character is in a name. */
typedef enum CharClass
{
	CHAR_SEPARATOR,
	CHAR_DROPPED,				/* as if it were not there */
	CHAR_UPPER,
	CHAR_LOWER,					/* and letters that have no case */
	CHAR_DIGIT
} CharClass;

/* Letters that normalization leaves alone though they are a Latin letter with something. */
static const struct
{
	pg_wchar	code;
	const char *letters;
}			latin_letters[] = {
	{0xDF, "ss"}, {0xC6, "AE"}, {0xE6, "ae"}, {0xD8, "O"}, {0xF8, "o"}, {0x152, "OE"},
	{0x153, "oe"}, {0x141, "L"}, {0x142, "l"}, {0x110, "D"}, {0x111, "d"}, {0x131, "i"}
};

/*
 * A name as code points, ended by 0.
 */
static pg_wchar *
decode(const char *name)
{
	size_t		length = strnlen(name, MAX_NAME_LENGTH + MAX_MULTIBYTE_CHAR_LEN);
	int			encoding = GetDatabaseEncoding();
	const unsigned char *c;
	pg_wchar   *codes;
	int			n = 0;

	length = pg_mbcliplen(name, length, MAX_NAME_LENGTH);
	codes = palloc((length + 1) * sizeof(pg_wchar));
	if (encoding == PG_SQL_ASCII)
	{
		for (; n < length; n++)
			codes[n] = (unsigned char) name[n];
		codes[n] = 0;
		return codes;
	}
	c = (const unsigned char *) pg_server_to_any(pnstrdup(name, length), length, PG_UTF8);
	codes = repalloc(codes, (strlen((const char *) c) + 1) * sizeof(pg_wchar));
	for (; *c; c += pg_utf_mblen(c))
		codes[n++] = utf8_to_unicode(c);
	codes[n] = 0;
	return codes;
}

/*
 * The code points with Latin letters reduced to ASCII: accents become characters of
 * their own, which classify() drops.
 */
static pg_wchar *
reduce(pg_wchar *codes)
{
	bool		ascii = true;
	pg_wchar   *decomposed;
	pg_wchar   *result;
	int			n = 0;

	for (const pg_wchar *c = codes; *c && ascii; c++)
		ascii = *c < 0x80;
	if (ascii)
		return codes;
	decomposed = unicode_normalize(UNICODE_NFKD, codes);
	for (const pg_wchar *c = decomposed; *c; c++)
		n++;
	result = palloc((2 * n + 1) * sizeof(pg_wchar));
	n = 0;
	for (const pg_wchar *c = decomposed; *c; c++)
	{
		const char *letters = NULL;

		for (int i = 0; i < lengthof(latin_letters) && letters == NULL; i++)
		{
			if (latin_letters[i].code == *c)
				letters = latin_letters[i].letters;
		}
		if (letters == NULL)
			result[n++] = *c;
		else
		{
			while (*letters)
				result[n++] = *letters++;
		}
	}
	result[n] = 0;
	return result;
}

/*
 * What a character is.  An apostrophe ends a word, but the "s" after it goes with it.
 */
static CharClass
classify(const pg_wchar *c)
{
	if (*c < 0x80)
	{
		if (*c >= 'a' && *c <= 'z')
			return CHAR_LOWER;
		if (*c >= 'A' && *c <= 'Z')
			return CHAR_UPPER;
		return *c >= '0' && *c <= '9' ? CHAR_DIGIT : CHAR_SEPARATOR;
	}
	if ((*c >= 0x300 && *c <= 0x36F) || (*c >= 0xFE00 && *c <= 0xFE0F))
		return CHAR_DROPPED;	/* accents, variants */
	if ((*c >= 0x80 && *c <= 0xBF) || *c == 0xD7 || *c == 0xF7 ||
		(*c >= 0x2000 && *c <= 0x206F) || (*c >= 0x3000 && *c <= 0x303F))
		return CHAR_SEPARATOR;
	return CHAR_LOWER;
}

/*
 * Is this the end of "'s"?
 */
static bool
is_possessive(const pg_wchar *start, const pg_wchar *c)
{
	return (*c == 's' || *c == 'S') && c > start && (c[-1] == '\'' || c[-1] == 0x2019) &&
		(c[1] == 0 || classify(c + 1) == CHAR_SEPARATOR);
}

/*
 * Does a new word begin between two characters?  In "BillingCity" before the C, in
 * "IPAddress" before the A, and where digits begin or end.
 */
static bool
is_boundary(CharClass before, CharClass here, CharClass after)
{
	if ((before == CHAR_DIGIT) != (here == CHAR_DIGIT))
		return true;
	if (here != CHAR_UPPER)
		return false;
	return before == CHAR_LOWER || after == CHAR_LOWER;
}

/*
 * A word without its plural ending.  That need not be a word, only the same for
 * singular and plural.
 */
static void
strip_plural(char *word)
{
	size_t		n = strlen(word);

	if (n <= 3 || word[n - 1] != 's' || strchr("sui", word[n - 2]) != NULL)
		return;
	if (n > 4 && strcmp(word + n - 3, "ies") == 0)
		strcpy(word + n - 3, "y");
	else if (n > 5 && (strcmp(word + n - 4, "sses") == 0 || strcmp(word + n - 4, "xes") == 0 ||
					   strcmp(word + n - 4, "ches") == 0 || strcmp(word + n - 4, "shes") == 0))
		word[n - 2] = '\0';
	else
		word[n - 1] = '\0';
}

/*
 * Adds a word; "e" and "mail" become one.
 */
static void
add_word(NameTokens *tokens, char *word)
{
	if (GetDatabaseEncoding() == PG_UTF8 && !pg_is_ascii(word))
		word = str_tolower(word, strlen(word), DEFAULT_COLLATION_OID);
	strip_plural(word);
	if (tokens->count > 0 && strcmp(word, "mail") == 0 &&
		strcmp(tokens->words[tokens->count - 1], "e") == 0)
		tokens->words[tokens->count - 1] = "email";
	else if (tokens->count < MAX_NAME_WORDS)
		tokens->words[tokens->count++] = word;
	else
		tokens->count = MAX_NAME_WORDS + 1;
}

/*
 * The words of a name.  A "#" stands for the word number.  The result lives in
 * CurrentMemoryContext; a name with too many words has none.
 */
void
crmio_name_tokens(const char *name, NameTokens *tokens)
{
	pg_wchar   *codes = reduce(decode(name));
	int			length = 0;
	char	   *word;
	int			used = 0;
	CharClass	before = CHAR_SEPARATOR;

	while (codes[length])
		length++;
	word = palloc(length * MAX_MULTIBYTE_CHAR_LEN + 1);
	tokens->count = 0;
	for (const pg_wchar *c = codes; tokens->count <= MAX_NAME_WORDS; c++)
	{
		CharClass	here = *c ? classify(c) : CHAR_SEPARATOR;

		if (here == CHAR_DROPPED)
			continue;
		if (*c && is_possessive(codes, c))
			here = CHAR_SEPARATOR;
		if (used > 0 && (here == CHAR_SEPARATOR ||
						 is_boundary(before, here, c[1] ? classify(c + 1) : CHAR_SEPARATOR)))
		{
			word[used] = '\0';
			add_word(tokens, pstrdup(word));
			used = 0;
		}
		if (*c == '#')
			add_word(tokens, pstrdup("number"));
		if (*c == 0)
			break;
		if (here != CHAR_SEPARATOR)
		{
			if (*c < 0x80)
				word[used++] = pg_ascii_tolower((unsigned char) *c);
			else
			{
				unicode_to_utf8(*c, (unsigned char *) word + used);
				used += pg_utf_mblen((unsigned char *) word + used);
			}
		}
		before = here;
	}
	if (tokens->count > MAX_NAME_WORDS)
		tokens->count = 0;
}

/*
 * The words joined: "first name" and "firstname" are the same.
 */
char *
crmio_tokens_key(const NameTokens *tokens)
{
	size_t		length = 1;
	char	   *key;
	char	   *end;

	for (int i = 0; i < tokens->count; i++)
		length += strlen(tokens->words[i]);
	end = key = palloc(length);
	*end = '\0';
	for (int i = 0; i < tokens->count; i++)
		end = stpcpy(end, tokens->words[i]);
	return key;
}

/*
 * Orders words by their bytes.
 */
static int
compare_words(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

/*
 * The words in alphabetical order: "phone mobile" and "mobile phone" are the same.
 */
char *
crmio_tokens_set(const NameTokens *tokens)
{
	NameTokens	sorted = *tokens;
	List	   *words = NIL;

	qsort(sorted.words, sorted.count, sizeof(char *), compare_words);
	for (int i = 0; i < sorted.count; i++)
		words = lappend(words, sorted.words[i]);
	return crmio_join(words, " ");
}

/*
 * The words from one position to before another.
 */
void
crmio_tokens_part(const NameTokens *tokens, int from, int to, NameTokens *part)
{
	part->count = 0;
	for (int i = from; i < to; i++)
		part->words[part->count++] = tokens->words[i];
}

/*
 * Does the word begin with a digit?  Such words are numbers, or nearly.
 */
bool
crmio_token_is_number(const char *word)
{
	return word[0] >= '0' && word[0] <= '9';
}
