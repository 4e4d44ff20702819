/** Takes one line for a person who is waiting: what is being done and how long it takes. */
export type Say = (line: string) => void;
