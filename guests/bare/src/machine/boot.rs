//! From the PVH entry to CPL 3: paging, descriptor tables, the trap handlers.
//!
//! CPL 0 code may be interpreted by the host, about a thousand times slower than CPL 3 code, so
//! there is as little of it as possible and the page tables are laid out by the assembler.

use core::arch::global_asm;

// Entry state: 32-bit protected mode, paging off, EBX = physical address of hvm_start_info
// (Xen's docs/misc/pvh.pandoc).
global_asm!(
    r#"
    .section .note.pvh, "a", @note
    .balign 4
    .long 4, 4, 18              // name and description size, XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .long pvh_start

    .section .boot, "ax"
    .code32
    .globl pvh_start
pvh_start:
    cli
    cld
    movl $pml4, %eax
    movl %eax, %cr3
    movl $0x620, %eax           // PAE, OSFXSR, OSXMMEXCPT
    movl %eax, %cr4
    movl $0xc0000080, %ecx      // EFER.LME
    rdmsr
    orl $0x100, %eax
    wrmsr
    movl $0x80010033, %eax      // PG, WP, NE, ET, MP, PE
    movl %eax, %cr0
    lgdt gdt_pointer
    ljmpl $0x08, $long_start

    .code64
long_start:
    movl $0x1b, %eax
    movl %eax, %ds
    movl %eax, %es
    movl $0x10, %eax
    movl %eax, %ss
    movl $kernel_stack_top, %esp

    // The address of the TSS is spread over its descriptor.
    movl $tss, %eax
    movw %ax, gdt+0x2a
    shrl $16, %eax
    movb %al, gdt+0x2c
    movb %ah, gdt+0x2f

    lidt idt_pointer
    movl $0x28, %eax
    ltr %ax

    // Interrupts come by the IO-APIC alone: mask both 8259s.
    movb $0xff, %al
    outb %al, $0x21
    outb %al, $0xa1
    // 16550: no interrupts, 8 data bits, FIFO on.
    movl $0x3f9, %edx
    xorl %eax, %eax
    outb %al, %dx
    movl $0x3fb, %edx
    movb $3, %al
    outb %al, %dx
    movl $0x3fa, %edx
    movb $7, %al
    outb %al, %dx

    // To CPL 3 with interrupts off: they are only ever taken inside the wait below.
    movl %ebx, %edi
    pushq $0x1b
    pushq $user_stack_top - 8   // as if by a call: SSE spills expect 16n - 8
    pushq $2
    pushq $0x23
    pushq $guest_main
    iretq

    // #GP: the instructions that CPL 3 borrows from CPL 0, else a fault. The well-behaved guests
    // need the first two; the others are for hostile ones.
general_protection:
    addq $8, %rsp
    pushq %rax
    movq 8(%rsp), %rax
    cmpb $0xf4, (%rax)          // hlt
    je 1f
    cmpw $0x6ef3, (%rax)        // rep outsb
    je 2f
    cmpb $0xec, (%rax)          // in al, dx
    je 6f
    cmpb $0xed, (%rax)          // in eax, dx
    je 7f
    cmpb $0xee, (%rax)          // out dx, al
    je 8f
    cmpb $0xef, (%rax)          // out dx, eax
    je 9f
    cmpw $0x320f, (%rax)        // rdmsr
    je 10f
    cmpw $0x300f, (%rax)        // wrmsr
    je 11f
    cmpb $0xfa, (%rax)          // cli
    je 12f
    cmpb $0xfb, (%rax)          // sti
    je 15f
    pushq $13
    jmp fault
    // Wait for one interrupt. `sti` holds interrupts back until `hlt` is reached, so none is missed.
1:  incq 8(%rsp)
    popq %rax
    sti
    hlt
    cli
    iretq
    // RCX bytes from RSI to the serial port, a FIFO at a time.
2:  addq $2, 8(%rsp)
    pushq %rdi
    movq %rcx, %rdi
3:  testq %rdi, %rdi
    jz 5f
    movl $0x3fd, %edx
4:  inb %dx, %al
    testb $0x20, %al            // transmitter empty
    jz 4b
    movl $16, %ecx
    cmpq %rcx, %rdi
    cmovbq %rdi, %rcx
    subq %rcx, %rdi
    movl $0x3f8, %edx
    rep outsb
    jmp 3b
5:  xorl %ecx, %ecx
    popq %rdi
    popq %rax
    iretq
6:  incq 8(%rsp)
    popq %rax
    inb %dx, %al
    iretq
7:  incq 8(%rsp)
    popq %rax
    inl %dx, %eax
    iretq
8:  incq 8(%rsp)
    popq %rax
    outb %al, %dx
    iretq
9:  incq 8(%rsp)
    popq %rax
    outl %eax, %dx
    iretq
    // An MSR that is not there faults once more, from CPL 0: it reads as all ones then, and a write
    // leaves no number in ECX.
10: addq $2, 8(%rsp)
    testb $3, 16(%rsp)
    popq %rax
    jz 13f
    rdmsr
    iretq
11: addq $2, 8(%rsp)
    testb $3, 16(%rsp)
    popq %rax
    jz 14f
    wrmsr
    iretq
14: xorl %ecx, %ecx
    iretq
13: movl $-1, %eax
    movl $-1, %edx
    iretq
    // What CPL 0 sees of CPUID; no host can hide it from CPL 3 but by a fault.
15: incq 8(%rsp)
    popq %rax
    cpuid
    iretq
    // A triple fault: no table of interrupts, and one exception.
12: pushq $0
    pushq $0
    lidt (%rsp)
    ud2

    // A device interrupt: note the vector and return with interrupts off, whatever the line does.
    // CPL 3 asks the device, then signals the end of the interrupt.
interrupt:
    pushq %rax
    movq 8(%rsp), %rax
    movb %al, last_vector
    popq %rax
    addq $8, %rsp
    andq $-0x201, 16(%rsp)
    iretq

    // Anything else is our own bug: say which exception and where, then stop for good.
fault:
    movq (%rsp), %rbx
    movl $fault_vector, %edi
    movl $2, %ecx
    shlq $56, %rbx
    call hexadecimal
    movq kernel_stack_top - 40, %rbx
    movl $fault_address, %edi
    movl $16, %ecx
    call hexadecimal
    movl $fault_text, %esi
    movl $fault_text_end - fault_text, %ecx
    movl $0x3f8, %edx
    rep outsb
1:  cli
    hlt
    jmp 1b

    // ECX digits of RBX, highest first, to RDI.
hexadecimal:
    rolq $4, %rbx
    movl %ebx, %eax
    andl $15, %eax
    movb digits(%rax), %al
    movb %al, (%rdi)
    incq %rdi
    decl %ecx
    jnz hexadecimal
    ret

    .balign 16
    .globl stubs
stubs:
    .set vector, 0
    .rept 64
    .balign 16
    .if vector == 13
    jmp general_protection
    .elseif vector < 32
    pushq $vector
    jmp fault
    .else
    pushq $vector
    jmp interrupt
    .endif
    .set vector, vector + 1
    .endr

    .section .data.boot, "aw"
digits:
    .ascii "0123456789abcdef"
fault_text:
    .ascii "{{\"fault\":\"0x"
fault_vector:
    .ascii "00\",\"at\":\"0x"
fault_address:
    .ascii "0000000000000000\"}}\n"
fault_text_end:
    .globl last_vector
last_vector:
    .byte 0

    .balign 8
gdt:
    .quad 0
    .quad 0x00af9b000000ffff    // 0x08 code, CPL 0
    .quad 0x00cf93000000ffff    // 0x10 data, CPL 0
    .quad 0x00cff3000000ffff    // 0x18 data, CPL 3
    .quad 0x00affb000000ffff    // 0x20 code, CPL 3
    .quad 0x0000890000000067    // 0x28 TSS
    .quad 0
gdt_end:
    .balign 8
gdt_pointer:
    .word gdt_end - gdt - 1
    .quad gdt
    .balign 8
idt_pointer:
    .word 64 * 16 - 1
    .quad idt
    // 64 interrupt gates to stubs of 16 bytes each; the linker splits their addresses.
    .balign 16
idt:
    .set offset, 0
    .rept 64
    .word stubs_low + offset, 0x08, 0x8e00, stubs_high
    .quad 0
    .set offset, offset + 16
    .endr
    .balign 8
tss:
    .long 0
    .quad kernel_stack_top      // RSP0
    .fill 22, 4, 0
    .word 0
    .word 104                   // no I/O permission map: it would start beyond the limit

    // The first 4 GiB one to one, for CPL 3, by pages of 2 MiB; the device hole uncached.
    .balign 4096
pml4:
    .quad pdpt + 0x27
    .fill 511, 8, 0
pdpt:
    .quad pd + 0x27, pd + 0x1027, pd + 0x2027, pd + 0x3027
    .fill 508, 8, 0
pd:
    .set page, 0
    .rept 1536
    .quad page + 0xe7
    .set page, page + 0x200000
    .endr
    .rept 512
    .quad page + 0xff
    .set page, page + 0x200000
    .endr

    .section .bss.boot, "aw", @nobits
    .balign 4096
    .skip 8192
kernel_stack_top:
    .skip 262144
user_stack_top:
    .text
"#,
    options(att_syntax)
);
