/* The one function of Windows' bcryptprimitives.dll that Rust programs need, which wine lacks before
 * version 9. For tries under wine; nothing of it is released. */
#include <stddef.h>

/* RtlGenRandom, of advapi32. */
int SystemFunction036(void *data, unsigned long length);

__declspec(dllexport) int ProcessPrng(unsigned char *data, size_t length)
{
    return SystemFunction036(data, (unsigned long)length);
}
