/* A stand-in for NVIDIA's management library, behind the real bindings.
 *
 * What it answers stands in the file that $NVML_STUB names, one NAME=VALUE a line,
 * read anew at every call, so that a test changes a driver's mind while it runs:
 *
 *   count=1                         how many GPUs there are
 *   0.name=Orin (nvgpu)             a value of GPU 0; what is missing is NOT_SUPPORTED
 *   0.compute=17:1000,17:4000       processes as pid:bytes
 *   error.nvmlInitWithFlags=9       a call that answers with this code
 *   0.error.nvmlDeviceGetName=15    the same, for GPU 0 alone
 *   hang_ms.nvmlDeviceGetName=700   a call that takes this long first
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID = 2, NOT_SUPPORTED = 3, TOO_SMALL = 7, NO_DRIVER = 9 };
enum { MAX_GPUS = 16, MAX_STATE = 1 << 16 };

typedef struct gpu { int number; } gpu;
typedef struct { unsigned long long total, free, used; } memory_info;
typedef struct { unsigned gpu, memory; } rates;
typedef struct { unsigned pid; unsigned long long used; unsigned instance, compute; } process_info;

static gpu gpus[MAX_GPUS];
static pid_t started_in;

static int find(const char *name, char *value, size_t size)
{
    static _Thread_local char state[MAX_STATE];
    const char *path = getenv("NVML_STUB");
    FILE *file = path ? fopen(path, "r") : NULL;
    size_t length, name_length = strlen(name);
    char *line, *rest = NULL;

    if (!file)
        return 0;
    length = fread(state, 1, sizeof state - 1, file);
    fclose(file);
    state[length] = '\0';
    for (line = strtok_r(state, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (strncmp(line, name, name_length) == 0 && line[name_length] == '=') {
            snprintf(value, size, "%s", line + name_length + 1);
            return 1;
        }
    }
    return 0;
}

static int number(const char *name, unsigned long long *value)
{
    char text[64];
    if (!find(name, text, sizeof text))
        return 0;
    *value = strtoull(text, NULL, 10);
    return 1;
}

static int enter(const char *call, const gpu *device, int needs_start)
{
    char name[160];
    unsigned long long value = 0;

    snprintf(name, sizeof name, "hang_ms.%s", call);
    if (number(name, &value)) {
        struct timespec pause = { (time_t)(value / 1000), (long)(value % 1000) * 1000000 };
        nanosleep(&pause, NULL);
    }
    snprintf(name, sizeof name, "error.%s", call);
    if (number(name, &value) && value)
        return (int)value;
    if (device) {
        snprintf(name, sizeof name, "%d.error.%s", device->number, call);
        if (number(name, &value) && value)
            return (int)value;
    }
    /* As the real one: what was started before a fork is of no use after it. */
    return needs_start && started_in != getpid() ? UNINITIALIZED : SUCCESS;
}

#define ENTER(device) do { int code_ = enter(__func__, device, 1); if (code_) return code_; } while (0)

static int text_of(const gpu *device, const char *what, char *out, unsigned size)
{
    char name[64], value[256];
    if (device)
        snprintf(name, sizeof name, "%d.%s", device->number, what);
    else
        snprintf(name, sizeof name, "%s", what);
    if (!find(name, value, sizeof value))
        return NOT_SUPPORTED;
    if (strlen(value) >= size)
        return TOO_SMALL;
    strcpy(out, value);
    return SUCCESS;
}

static int number_of(const gpu *device, const char *what, unsigned long long *out)
{
    char name[64];
    snprintf(name, sizeof name, "%d.%s", device->number, what);
    return number(name, out) ? SUCCESS : NOT_SUPPORTED;
}

static int small_of(const gpu *device, const char *what, unsigned *out)
{
    unsigned long long value = 0;
    int code = number_of(device, what, &value);
    if (code == SUCCESS)
        *out = (unsigned)value;
    return code;
}

int nvmlInitWithFlags(unsigned flags)
{
    int code = enter(__func__, NULL, 0);
    (void)flags;
    if (code == SUCCESS)
        started_in = getpid();
    return code;
}

int nvmlShutdown(void) { ENTER(NULL); started_in = 0; return SUCCESS; }

const char *nvmlErrorString(int code)
{
    switch (code) {
    case NOT_SUPPORTED: return "Not Supported";
    case NO_DRIVER: return "Driver Not Loaded";
    case 15: return "GPU is lost";
    default: return "Unknown Error";
    }
}

int nvmlSystemGetDriverVersion(char *out, unsigned size) { ENTER(NULL); return text_of(NULL, "driver", out, size); }

int nvmlDeviceGetCount_v2(unsigned *out)
{
    unsigned long long count = 0;
    ENTER(NULL);
    number("count", &count);
    *out = (unsigned)count;
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, gpu **out)
{
    unsigned long long count = 0;
    if (index >= MAX_GPUS)
        return INVALID;
    gpus[index].number = (int)index;
    ENTER(&gpus[index]);
    number("count", &count);
    if (index >= count)
        return INVALID;
    *out = &gpus[index];
    return SUCCESS;
}

int nvmlDeviceGetName(gpu *device, char *out, unsigned size) { ENTER(device); return text_of(device, "name", out, size); }
int nvmlDeviceGetUUID(gpu *device, char *out, unsigned size) { ENTER(device); return text_of(device, "uuid", out, size); }

int nvmlDeviceGetMemoryInfo(gpu *device, memory_info *out)
{
    unsigned long long total = 0, used = 0;
    ENTER(device);
    if (number_of(device, "total", &total) || number_of(device, "used", &used))
        return NOT_SUPPORTED;
    out->total = total;
    out->used = used;
    out->free = total > used ? total - used : 0;
    return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(gpu *device, rates *out)
{
    ENTER(device);
    out->memory = 0;
    return small_of(device, "load", &out->gpu);
}

int nvmlDeviceGetClockInfo(gpu *device, unsigned kind, unsigned *out)
{
    ENTER(device);
    return kind == 1 ? small_of(device, "clock", out) : INVALID;
}

int nvmlDeviceGetMaxClockInfo(gpu *device, unsigned kind, unsigned *out)
{
    ENTER(device);
    return kind == 1 ? small_of(device, "max_clock", out) : INVALID;
}

int nvmlDeviceGetPowerUsage(gpu *device, unsigned *out) { ENTER(device); return small_of(device, "milliwatts", out); }

int nvmlDeviceGetTemperature(gpu *device, unsigned sensor, unsigned *out)
{
    ENTER(device);
    return sensor == 0 ? small_of(device, "celsius", out) : INVALID;
}

int nvmlDeviceGetCurrentClocksThrottleReasons(gpu *device, unsigned long long *out)
{
    ENTER(device);
    return number_of(device, "reasons", out);
}

static int processes(const gpu *device, const char *what, unsigned *count, process_info *out)
{
    char list[4096], *each, *rest = NULL;
    unsigned found = 0;
    int code = text_of(device, what, list, sizeof list);
    if (code)
        return code;
    for (each = list; *each; each++)
        found += *each == ':';
    if (found > *count || (found && !out)) {
        *count = found;
        return TOO_SMALL;
    }
    *count = 0;
    for (each = strtok_r(list, ",", &rest); each; each = strtok_r(NULL, ",", &rest)) {
        unsigned pid;
        unsigned long long used;
        if (sscanf(each, "%u:%llu", &pid, &used) == 2)
            out[(*count)++] = (process_info){ pid, used, ~0u, ~0u };
    }
    return SUCCESS;
}

int nvmlDeviceGetComputeRunningProcesses_v3(gpu *device, unsigned *count, process_info *out)
{
    ENTER(device);
    return processes(device, "compute", count, out);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(gpu *device, unsigned *count, process_info *out)
{
    ENTER(device);
    return processes(device, "graphics", count, out);
}

/* Before driver 510 only these were there; the list has the same form. */
int nvmlDeviceGetComputeRunningProcesses_v2(gpu *device, unsigned *count, process_info *out)
{
    ENTER(device);
    return processes(device, "compute", count, out);
}

int nvmlDeviceGetGraphicsRunningProcesses_v2(gpu *device, unsigned *count, process_info *out)
{
    ENTER(device);
    return processes(device, "graphics", count, out);
}
