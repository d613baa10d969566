/** The clock of another host, compared with this one's. */
export interface ClockOffset {
  /** Its clock minus this host's, in seconds. */
  readonly skewS: number;
  /** Seconds that the question took: the difference is known no better than that. */
  readonly withinS: number;
}

/** A command of a script for another host: one line with the time there, in whole seconds. */
export const clockScript = `printf 'time %s\\n' "$(date +%s)"`;

/**
 * @param lines the output of a script with `clockScript` in it
 * @param beforeMs when it was asked, by this host's clock in milliseconds; `afterMs`: when the answer was here
 * @returns undefined if the time there was not said
 */
export function clockOffset(
  lines: readonly string[],
  beforeMs: number,
  afterMs: number,
): ClockOffset | undefined {
  const said = lines.map((line) => /^time (\d{1,12})$/.exec(line)?.[1]).find((text) => text !== undefined);
  if (said === undefined) return undefined;
  // It says whole seconds.
  const skewS = Number(said) + 0.5 - (beforeMs + afterMs) / 2000;
  return { skewS, withinS: Math.max(0, afterMs - beforeMs) / 1000 };
}
