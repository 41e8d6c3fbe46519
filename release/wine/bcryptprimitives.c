/* The function of Windows' bcryptprimitives.dll that Rust programs need, and that wine has only since
 * version 9. Only used to run binaries under wine, and not released. */
#include <stddef.h>

/* RtlGenRandom, of advapi32. */
int SystemFunction036(void *data, unsigned long length);

__declspec(dllexport) int ProcessPrng(unsigned char *data, size_t length)
{
    return SystemFunction036(data, (unsigned long)length);
}
