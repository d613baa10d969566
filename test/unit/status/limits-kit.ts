import type { StatusLimits } from '../../../src/status/limits.ts';

/** Small numbers, so that a test shows each of them. */
export const limits: StatusLimits = {
  behind_warning_size: 100,
  behind_warning_time: 10,
  behind_critical_size: 1000,
  behind_critical_time: 60,
  disk_warning: 80,
  disk_critical: 95,
  disk_full_warning: 3600,
  disk_full_critical: 600,
};
