/** A program and its arguments; no shell reads them. */
export interface CommandLine {
  readonly program: string;
  readonly args: readonly string[];
}
