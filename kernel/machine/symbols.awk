# symbols.awk: turns `nm -n` of a linked kernel into the table of function names that backtraces use (symbols.c reads it).
# With empty input it makes an empty table: the first of the two links needs one.
BEGIN {
	print "\t.section .rodata.symbols, \"a\"\n\t.globl symbol_count, symbol_table\n\t.balign 8\nsymbol_table:"
}
($2 == "t" || $2 == "T") && $3 !~ /^[.$]|^kernel_start$/ {
	printf "\t.quad 0x%s, name_%d\n", $1, count
	names[count++] = $3
}
END {
	printf "symbol_count:\n\t.quad %d\n", count
	for (i = 0; i < count; i++)
		printf "name_%d:\t.asciz \"%s\"\n", i, names[i]
}
