export interface Prose {
  readonly file: string;
  readonly line: number;
  readonly kind: 'comment' | 'message' | 'sentence';
  readonly text: string;
}
/** Comments and messages of one TypeScript file, each with its line. */
export function proseOfSource(file: string, text: string): Prose[];
/** Sentences of one page, each with the line on which its paragraph begins. */
export function proseOfPage(file: string, text: string): Prose[];
/** All prose of the project, in the order of its files. */
export function proseOf(root: string): Prose[];
