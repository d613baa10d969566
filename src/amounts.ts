/** Amounts for people: sizes, durations, rates. */

const units = ['bytes', 'kB', 'MB', 'GB', 'TB'] as const;

/** Three digits at most, in powers of 1024 as df -h and PostgreSQL have them. */
export function sizeText(bytes: number): string {
  let value = Math.max(0, bytes);
  let place = 0;
  while (value >= 999.5 && place < units.length - 1) {
    value /= 1024;
    place += 1;
  }
  const digits = place === 0 || value >= 99.95 ? 0 : 1;
  return `${value.toFixed(digits)} ${units[place] ?? ''}`;
}

/** `0.8 s`, `12 s`, `3 min 5 s`, `2 h 10 min`. */
export function durationText(seconds: number): string {
  if (seconds < 9.95) return `${Math.max(0, seconds).toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Undefined while nothing is known: no time has passed. */
export function rateOf(bytes: number, seconds: number): number | undefined {
  return seconds > 0 ? bytes / seconds : undefined;
}

export function rateText(bytesPerS: number | undefined): string {
  return bytesPerS === undefined ? '–' : `${sizeText(bytesPerS)}/s`;
}
