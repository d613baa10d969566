/** One check of a drill's copy. */
export interface CheckResult {
  readonly name: string;
  readonly result: 'passed' | 'failed' | 'not checked';
  /** The finding, or why it was not checked. Lower case, no full stop. */
  readonly detail: string;
}

export const passed = (name: string, detail: string): CheckResult => ({ name, result: 'passed', detail });
export const failed = (name: string, detail: string): CheckResult => ({ name, result: 'failed', detail });
export const notChecked = (name: string, detail: string): CheckResult => ({
  name,
  result: 'not checked',
  detail,
});
