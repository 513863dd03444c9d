/*
 * client.c
 *	  Sends the client what is waiting for it.
 */
#include "postgres.h"

#include "tcop/tcopprot.h"

#include "crmio.h"

/*
 * libpq.h needs no more of libpq-be.h than these names; that header would need
 * GSSAPI's, which a machine that builds an extension may lack.
 */
#define LIBPQ_BE_H
typedef struct Port Port;
typedef struct ClientSocket ClientSocket;

#include "libpq/libpq.h"

/*
 * crmio_flush_client
 *		Result rows go to the client now, not when the query ends.
 */
void
crmio_flush_client(void)
{
	if (whereToSendOutput == DestRemote)
		pq_flush();
}
