export declare const nodeFiles: readonly string[];
