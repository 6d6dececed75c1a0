/* A stand-in for NVIDIA's libnvidia-ml.so.1, so that the real pynvml can be run where there is no GPU.
 *
 * It answers as an H200 does. The environment changes that; numbers of errors are those of nvml.h:
 *   FAKE_INIT=18         starting fails with this error
 *   FAKE_COUNT=2         number of GPUs (1)
 *   FAKE_HANDLE=15       finding the first GPU fails with this error
 *   FAKE_HANDLE_1=15     finding the others fails with this error
 *   FAKE_FIELDS=3        everything but name and UUID fails with this error
 *   FAKE_OLD=1           a driver without the functions and fields of the last years
 *   FAKE_SLICES=2        the GPU is divided into so many slices
 *   FAKE_LOST_AFTER=5    the GPU is lost after so many readings of its clock
 *   FAKE_REASONS=4       mask of reasons for a lower clock
 *   FAKE_BUSY=80         utilisation in percent (0)
 *   FAKE_COMPUTE=7:512,8:1024   compute processes with their memory in MiB
 *   FAKE_GRAPHICS=9:64          processes that draw
 *   FAKE_CUDA=11040      newest CUDA that the driver runs (13000)
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SUCCESS = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, FUNCTION_NOT_FOUND = 13, LOST = 15 };

typedef struct { int index; int slice; } Device;
static Device gpus[8], slices[8];
static int clock_readings;

static long setting(const char *name, long otherwise) {
    const char *text = getenv(name);
    return text ? strtol(text, NULL, 0) : otherwise;
}

static int field(void) {
    long after = setting("FAKE_LOST_AFTER", -1);
    if (after >= 0 && clock_readings > after) return LOST;
    return (int)setting("FAKE_FIELDS", SUCCESS);
}

static int recent(void) { return setting("FAKE_OLD", 0) ? FUNCTION_NOT_FOUND : field(); }

/* A slice has no power, clock or link of its own. */
static int board(const Device *device) { return device->slice ? NOT_SUPPORTED : field(); }

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int nvmlInitWithFlags(unsigned flags) { (void)flags; return (int)setting("FAKE_INIT", SUCCESS); }

int nvmlSystemGetDriverVersion(char *text, unsigned size) { snprintf(text, size, "580.65.06"); return SUCCESS; }

int nvmlSystemGetCudaDriverVersion_v2(int *version) { *version = (int)setting("FAKE_CUDA", 13000); return SUCCESS; }

int nvmlDeviceGetCount_v2(unsigned *count) { *count = (unsigned)setting("FAKE_COUNT", 1); return SUCCESS; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, Device **device) {
    gpus[index].index = (int)index;
    *device = &gpus[index];
    return (int)setting(index ? "FAKE_HANDLE_1" : "FAKE_HANDLE", SUCCESS);
}

int nvmlDeviceGetName(const Device *device, char *text, unsigned size) {
    snprintf(text, size, device->slice ? "NVIDIA H200 MIG 1g.18gb" : "NVIDIA H200");
    return SUCCESS;
}

int nvmlDeviceGetUUID(const Device *device, char *text, unsigned size) {
    snprintf(text, size, "%s-0a1b2c3d-0000-0000-0000-%06d%06d", device->slice ? "MIG" : "GPU", device->slice, device->index);
    return SUCCESS;
}

typedef struct {
    char legacy[16];
    unsigned domain, bus, device, pci_device_id, subsystem_id;
    char bus_id[32];
} PciInfo;

int nvmlDeviceGetPciInfo_v3(const Device *device, PciInfo *info) {
    memset(info, 0, sizeof *info);
    info->bus = 0x19 + (unsigned)device->index;
    info->pci_device_id = 0x233510DE;
    snprintf(info->bus_id, sizeof info->bus_id, "00000000:%02X:00.0", info->bus);
    return field();
}

typedef struct { unsigned long long total, free, used; } Memory;

int nvmlDeviceGetMemoryInfo(const Device *device, Memory *memory) {
    memory->total = (device->slice ? 16384ULL : 143771ULL) << 20;
    memory->used = 529ULL << 20;
    memory->free = memory->total - memory->used;
    return field();
}

int nvmlDeviceGetCudaComputeCapability(const Device *device, int *major, int *minor) {
    (void)device;
    *major = 9;
    *minor = 0;
    return field();
}

int nvmlDeviceGetEnforcedPowerLimit(const Device *device, unsigned *limit) { *limit = 650000; return board(device); }

int nvmlDeviceGetPowerManagementDefaultLimit(const Device *device, unsigned *limit) {
    *limit = 700000;
    return board(device);
}

int nvmlDeviceGetMaxClockInfo(const Device *device, int type, unsigned *clock) {
    (void)type;
    *clock = 1980;
    return board(device);
}

int nvmlDeviceGetClockInfo(const Device *device, int type, unsigned *clock) {
    (void)type;
    *clock = 1500 + 100 * (unsigned)(clock_readings++ % 3);
    return board(device);
}

int nvmlDeviceGetCurrPcieLinkGeneration(const Device *device, unsigned *value) {
    *value = clock_readings < 4 ? 1 : 5;
    return board(device);
}

int nvmlDeviceGetCurrPcieLinkWidth(const Device *device, unsigned *value) { *value = 16; return board(device); }

int nvmlDeviceGetMaxPcieLinkGeneration(const Device *device, unsigned *value) { *value = 5; return board(device); }

int nvmlDeviceGetMaxPcieLinkWidth(const Device *device, unsigned *value) { *value = 16; return board(device); }

int nvmlDeviceGetMigMode(const Device *device, unsigned *current, unsigned *pending) {
    (void)device;
    *current = *pending = setting("FAKE_SLICES", 0) > 0;
    return field();
}

int nvmlDeviceGetMaxMigDeviceCount(const Device *device, unsigned *count) { (void)device; *count = 7; return field(); }

int nvmlDeviceGetMigDeviceHandleByIndex(const Device *device, unsigned index, Device **slice) {
    slices[index].index = device->index;
    slices[index].slice = (int)index + 1;
    *slice = &slices[index];
    return (long)index < setting("FAKE_SLICES", 0) ? SUCCESS : NOT_FOUND;
}

/* Three powers that tell where a number came from: 100 W of the last second, 600 W of this moment, 500 W counted. */
int nvmlDeviceGetPowerUsage(const Device *device, unsigned *milliwatt) { *milliwatt = 100000; return board(device); }

typedef struct {
    uint32_t field_id, scope_id;
    int64_t timestamp, latency;
    int value_type, result;
    union { unsigned uint; unsigned long long ull; } value;
} FieldValue;

int nvmlDeviceGetFieldValues(const Device *device, int count, FieldValue *values) {
    for (int place = 0; place < count; place++) {
        values[place].result = values[place].field_id == 186 && !setting("FAKE_OLD", 0) ? board(device) : NOT_SUPPORTED;
        values[place].value.uint = 600000;
    }
    return field() == LOST ? LOST : SUCCESS;
}

int nvmlDeviceGetTotalEnergyConsumption(const Device *device, unsigned long long *millijoule) {
    *millijoule = (unsigned long long)(seconds() * 500000.0);
    return setting("FAKE_OLD", 0) ? NOT_SUPPORTED : board(device);
}

int nvmlDeviceGetTemperature(const Device *device, int sensor, unsigned *celsius) {
    (void)sensor;
    *celsius = 61;
    return board(device);
}

int nvmlDeviceGetCurrentClocksEventReasons(const Device *device, unsigned long long *mask) {
    *mask = (unsigned long long)setting("FAKE_REASONS", 0);
    return device->slice ? NOT_SUPPORTED : recent();
}

int nvmlDeviceGetCurrentClocksThrottleReasons(const Device *device, unsigned long long *mask) {
    *mask = (unsigned long long)setting("FAKE_REASONS", 0);
    return board(device);
}

typedef struct { unsigned gpu, memory; } Utilization;

int nvmlDeviceGetUtilizationRates(const Device *device, Utilization *rates) {
    rates->gpu = (unsigned)setting("FAKE_BUSY", 0);
    rates->memory = 0;
    return board(device);
}

typedef struct { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; } Process;

static int listed(const char *name, unsigned *count, Process *found) {
    char text[256];
    unsigned room = *count;
    snprintf(text, sizeof text, "%s", getenv(name) ? getenv(name) : "");
    *count = 0;
    for (char *entry = strtok(text, ","); entry; entry = strtok(NULL, ",")) {
        unsigned pid = 0;
        unsigned long long mib = 0;
        int parts = sscanf(entry, "%u:%llu", &pid, &mib);
        if (found && *count < room) {
            found[*count].pid = pid;
            /* Windows' driver model does not tell the memory: all bits set. */
            found[*count].used = parts == 2 ? mib << 20 : ~0ULL;
        }
        ++*count;
    }
    if (field() != SUCCESS) return field();
    return *count > (found ? room : 0) ? INSUFFICIENT_SIZE : SUCCESS;
}

int nvmlDeviceGetComputeRunningProcesses_v3(const Device *device, unsigned *count, Process *found) {
    (void)device;
    return listed("FAKE_COMPUTE", count, found);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(const Device *device, unsigned *count, Process *found) {
    (void)device;
    return listed("FAKE_GRAPHICS", count, found);
}
